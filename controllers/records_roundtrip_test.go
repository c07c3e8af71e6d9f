// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// notStored are the fields of a record that are not part of what is stored, each with
// why.
var notStored = map[string]string{
	"Version": "it is the object's", "Damage": "it is seen when the record is read",
	"Connection.AdminID": "the operator's own credentials stay in their Secret", "Connection.AdminPassword": "as AdminID",
	"Connection.InitialAccessToken": "as AdminID", "Client.Disabled": "an observation", "Client.SecretDoubtful": "the record has one of its own",
	"Client.Registered.ID": "it is Client.ID", "Client.Registered.Secret": "it is Client.Secret",
}

// fillFields gives every field of a value another content than the zero one.
func fillFields(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	if _, left := notStored[path]; left {
		return
	}
	switch v.Interface().(type) {
	case authserver.Secret:
		v.Set(reflect.ValueOf(authserver.NewSecret("secret of " + path)))
		return
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(int64(1_700_000_000+len(path)), 0).UTC()))
		return
	}
	switch v.Kind() { //nolint:exhaustive // another kind fails
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if path != "" {
				name = path + "." + name
			}
			fillFields(t, v.Field(i), name)
		}
	case reflect.String:
		v.SetString("text of " + path)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(1000 + len(path)))
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte("bytes of " + path))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fillFields(t, v.Index(i), fmt.Sprintf("%s.%d", path, i))
		}
	default:
		t.Fatalf("%s is a %s: teach this test about it", path, v.Kind())
	}
}

// differences names the fields in which two values differ.
func differences(a, b reflect.Value, path string) []string {
	if a.Kind() == reflect.Struct && a.Type() != reflect.TypeFor[authserver.Secret]() && a.Type() != reflect.TypeFor[time.Time]() {
		var names []string
		for i := range a.NumField() {
			name := a.Type().Field(i).Name
			if path != "" {
				name = path + "." + name
			}
			names = append(names, differences(a.Field(i), b.Field(i), name)...)
		}
		return names
	}
	if reflect.DeepEqual(a.Interface(), b.Interface()) {
		return nil
	}
	return []string{path}
}

// A field that is added to a record, to a client or to its metadata comes back from
// storage, or stands in the list above with its reason.
func TestNoFieldOfARecordGetsLost(t *testing.T) {
	var record policy.Record
	fillFields(t, reflect.ValueOf(&record).Elem(), "")
	// A word by which a person lets go is stored only when it was carried out.
	record.State = policy.RecordRevoked
	data, err := json.Marshal(store(record))
	if err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: recordName("uid"), Labels: map[string]string{v1alpha1.LabelRegistrationUID: "uid"}},
		Type:       v1alpha1.SecretTypeRecord, Data: map[string][]byte{recordKey: data},
	}
	read, err := decodeRecord(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range differences(reflect.ValueOf(record), reflect.ValueOf(read), "") {
		t.Errorf("%s does not come back from storage", name)
	}
	// Read member by member nothing else is lost.
	var lenientRead storedRecord
	if !lenientRead.salvage(data) {
		t.Fatal("a whole record cannot be salvaged")
	}
	var strict storedRecord
	if err := json.Unmarshal(data, &strict); err != nil || !reflect.DeepEqual(strict, lenientRead) {
		t.Errorf("salvaged %+v, want %+v: %v", lenientRead, strict, err)
	}
}
