// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// maxNamed is how many clients an inventory names of each sort.
const maxNamed = 50

// defaultOrphanGrace is for how long an orphan is seen before it is deleted
// where the AuthorizationServer does not say.
const defaultOrphanGrace = 24 * time.Hour

// inventory is a list of clients in the making.
type inventory struct {
	taken   v1alpha1.Inventory
	orphans []authserver.Listed
	// scopes are those that any client has; nil where that is not known of each.
	scopes map[string]bool
	// ours are the clients with the mark of this cluster.
	ours map[string]bool
}

// inventoryDue says that a server can list its clients and the last list is old.
func (r *AuthorizationServerReconciler) inventoryDue(as *v1alpha1.AuthorizationServer, traits authserver.Traits, now time.Time) bool {
	if as.DeletionTimestamp != nil || !traits.Lists || r.Cluster == "" {
		return false
	}
	return as.Status.Inventory == nil || as.Status.ObservedGeneration != as.Generation || !now.Before(nextInventory(as))
}

// takeInventory lists all clients of a server. A list that could not be finished
// counts nothing.
func (r *AuthorizationServerReconciler) takeInventory(ctx context.Context, as *v1alpha1.AuthorizationServer, now time.Time) (*v1alpha1.Inventory, error) {
	config := policy.Connection(as)
	list := inventory{scopes: map[string]bool{}, ours: map[string]bool{}}
	var last authserver.Page
	for cursor := ""; ; {
		page, err := r.page(ctx, config, cursor, last)
		if err != nil {
			return nil, err
		}
		last = page
		list.note(page.Scopes)
		for _, c := range page.Clients {
			if err := r.sort(ctx, as, c, &list); err != nil {
				return nil, err
			}
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	list.taken.TakenAt = metav1.NewTime(now.Truncate(time.Second))
	list.taken.UnmanagedClients = firstNamed(list.taken.UnmanagedClients, 0)
	r.dealWithOrphans(ctx, as, &list, now)
	r.tidy(ctx, as, &list, now)
	r.Metrics.Listed(as.Name, list.taken)
	return &list.taken, nil
}

// uidForm is the form of an object's UID: others write marks too.
var uidForm = regexp.MustCompile(`\A[0-9a-zA-Z-]{1,64}\z`)

// firstNamed cuts a list of ids to the first that are named, once it is longer
// than a bound.
func firstNamed(ids []string, bound int) []string {
	if len(ids) <= bound {
		return ids
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return ids[:min(len(ids), maxNamed)]
}

// nextInventory is when the clients of a server are listed again: with the
// drift checks, and when the grace of an orphan ends.
func nextInventory(as *v1alpha1.AuthorizationServer) time.Time {
	next := as.Status.Inventory.TakenAt.Add(policy.DriftCheckInterval(as))
	if as.Spec.OrphanPolicy != v1alpha1.OrphanPolicyReap {
		return next
	}
	for _, orphan := range as.Status.Inventory.OrphanedClients {
		if end := orphan.Since.Add(orphanGrace(as)); end.Before(next) {
			next = end
		}
	}
	// One that could not be deleted does not have everything listed all the time.
	if soonest := as.Status.Inventory.TakenAt.Add(blockedDelay); next.Before(soonest) {
		return soonest
	}
	return next
}

func orphanGrace(as *v1alpha1.AuthorizationServer) time.Duration {
	if as.Spec.OrphanGraceSeconds != nil {
		return time.Duration(*as.Spec.OrphanGraceSeconds) * time.Second
	}
	return defaultOrphanGrace
}

// page reads one page, with a place of its own: revocations go in between. A server
// that answers with the same page again and again has its list not read for ever.
func (r *AuthorizationServerReconciler) page(ctx context.Context, config authserver.Config, cursor string, last authserver.Page) (authserver.Page, error) {
	server, leave, err := r.Servers.Enter(ctx, config, authserver.Routine)
	if err != nil {
		return authserver.Page{}, err
	}
	defer leave()
	page, err := server.List(ctx, cursor)
	again := page.Next == cursor || cursor != "" && slices.Equal(page.Clients, last.Clients)
	if err == nil && page.Next != "" && again {
		return page, errors.New("listing clients: the list does not go on")
	}
	return page, err
}

// sort counts one client of the list.
func (r *AuthorizationServerReconciler) sort(ctx context.Context, as *v1alpha1.AuthorizationServer, c authserver.Listed, list *inventory) error {
	uid, ours := policy.OwnedByOneOf(policy.Clusters(r.Cluster, as), c.SoftwareID)
	if !ours || !uidForm.MatchString(uid) {
		list.taken.Unmanaged++
		list.taken.UnmanagedClients = firstNamed(append(list.taken.UnmanagedClients, shortID(c.ID)), 2*maxNamed)
		return nil
	}
	list.ours[c.ID] = true
	held, err := r.held(ctx, as, c.ID, types.UID(uid))
	switch {
	case err != nil:
		return err
	case held:
		list.taken.Managed++
	default:
		list.orphans = append(list.orphans, c)
	}
	return nil
}

// held says that a record, or failing that the status of a registration, speaks
// of a client. What the cache does not know the API server is asked: a record
// is stored before its client is created.
func (r *AuthorizationServerReconciler) held(ctx context.Context, as *v1alpha1.AuthorizationServer, id string, uid types.UID) (bool, error) {
	var records corev1.SecretList
	err := r.List(ctx, &records, client.InNamespace(r.Namespace),
		client.MatchingFields{indexRecordClient: clientDigest(as.Spec.Issuer, id)}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return false, fmt.Errorf("looking for the record of a client: %w", err)
	}
	for i := range records.Items {
		if occupies(&records.Items[i]) {
			return true, nil
		}
	}
	stored := &Records{Client: r.Client, Live: r.Live, Namespace: r.Namespace}
	record, is, err := stored.GetLive(ctx, uid)
	if err != nil {
		return false, err
	}
	if is == policy.Present {
		return record.Client.ID == id && record.HoldsPlace(), nil
	}
	if len(r.Watched) > 0 {
		// Its registration may be in a namespace that is not watched.
		return true, nil
	}
	// The record is lost: its registration waits for a person.
	return r.named(ctx, as, id, uid)
}

// occupies says that a record speaks of a client that may live.
func occupies(secret *corev1.Secret) bool {
	record, err := decodeRecord(secret)
	return err != nil || record.HoldsPlace()
}

// named says that the status of a registration names a client.
func (r *AuthorizationServerReconciler) named(ctx context.Context, as *v1alpha1.AuthorizationServer, id string, uid types.UID) (bool, error) {
	var registrations v1alpha1.MCPClientRegistrationList
	if err := r.List(ctx, &registrations, client.MatchingFields{indexRegistration: as.Name}, client.UnsafeDisableDeepCopy); err != nil {
		return false, fmt.Errorf("listing registrations: %w", err)
	}
	return slices.ContainsFunc(registrations.Items, func(reg v1alpha1.MCPClientRegistration) bool {
		return reg.UID == uid && reg.Status.ClientID == id
	}), nil
}

// dealWithOrphans names the orphans, and deletes those whose grace is over
// where the AuthorizationServer says so. One that cannot be deleted stays in
// the list.
func (r *AuthorizationServerReconciler) dealWithOrphans(ctx context.Context, as *v1alpha1.AuthorizationServer, list *inventory, now time.Time) {
	slices.SortFunc(list.orphans, func(a, b authserver.Listed) int { return strings.Compare(a.ID, b.ID) })
	list.orphans = slices.CompactFunc(list.orphans, func(a, b authserver.Listed) bool { return a.ID == b.ID })
	known := map[string]metav1.Time{}
	if as.Status.Inventory != nil {
		for _, orphan := range as.Status.Inventory.OrphanedClients {
			known[orphan.ClientID] = orphan.Since
		}
	}
	r.tellOfVanished(as, list.orphans)
	for _, c := range list.orphans {
		since, seen := known[c.ID]
		if !seen {
			since = list.taken.TakenAt
		}
		over := seen && !now.Before(since.Add(orphanGrace(as)))
		if as.Spec.OrphanPolicy == v1alpha1.OrphanPolicyReap && over {
			if err := r.reapOrphan(ctx, as, c); err == nil {
				continue
			} else {
				logf.FromContext(ctx).Error(err, "Deleting a client without a registration", "clientID", c.ID)
			}
		}
		list.taken.Orphaned++
		if len(list.taken.OrphanedClients) < maxNamed && len(c.ID) <= maxID {
			list.taken.OrphanedClients = append(list.taken.OrphanedClients, v1alpha1.OrphanedClient{ClientID: c.ID, Since: since})
		}
	}
}

// tellOfVanished tells of orphans that the last list named and this one does
// not: somebody deleted them, or the operator did and could not tell any more.
func (r *AuthorizationServerReconciler) tellOfVanished(as *v1alpha1.AuthorizationServer, orphans []authserver.Listed) {
	if as.Status.Inventory == nil {
		return
	}
	for _, known := range as.Status.Inventory.OrphanedClients {
		if slices.ContainsFunc(orphans, func(c authserver.Listed) bool { return c.ID == known.ClientID }) {
			continue
		}
		r.reaped(audit.ClientVanished, as, authserver.Listed{ID: known.ClientID})
	}
}

// reapOrphan deletes a client of this cluster that belongs to no registration,
// and proves that it is gone.
func (r *AuthorizationServerReconciler) reapOrphan(ctx context.Context, as *v1alpha1.AuthorizationServer, c authserver.Listed) error {
	uid, _ := policy.OwnedByOneOf(policy.Clusters(r.Cluster, as), c.SoftwareID)
	if held, err := r.held(ctx, as, c.ID, types.UID(uid)); err != nil || held {
		return errors.Join(err, errHeld)
	}
	config := policy.Connection(as)
	// It was seen in the list: no request for it is under way any more.
	record := lifecycle.ListedRecord(config, c, r.Clock.Now())
	_, _, err := executor{r.Servers, r.Clock}.run(ctx, leaving{
		Facts: ownerless(record, r.Servers.Connector.Traits(config), r.Clock.Now()), leaver: listedLeaver{r, as, c}, connection: config,
	})
	return err
}

// listedLeaver is a client of this cluster that a list named and no record speaks of.
type listedLeaver struct {
	*AuthorizationServerReconciler
	as     *v1alpha1.AuthorizationServer
	listed authserver.Listed
}

func (listedLeaver) store(_ context.Context, record policy.Record) (policy.Record, error) {
	return record, nil
}

func (l listedLeaver) end(ctx context.Context, out lifecycle.Outcome) (policy.Record, error) {
	for _, event := range out.Events {
		l.tell(ctx, event)
	}
	return out.Record, nil
}

func (l listedLeaver) tell(_ context.Context, event lifecycle.Event) {
	l.reaped(auditTypes[event.Kind], l.as, l.listed)
}

// errHeld says that a client belongs to a registration after all.
var errHeld = errors.New("the client belongs to a registration")

// reaped tells of the end of a client that belonged to no registration.
func (r *AuthorizationServerReconciler) reaped(kind audit.Type, as *v1alpha1.AuthorizationServer, c authserver.Listed) {
	e := auditEvent(kind, kindAuthorizationServer, as)
	e.Time = r.Clock.Now()
	e.Data.AuthorizationServer, e.Data.Issuer, e.Data.ClientID, e.Data.Mark = as.Name, as.Spec.Issuer, c.ID, c.SoftwareVersion
	e.Data.Message = "the client carried the mark of this cluster and belonged to no registration"
	r.Audit.Record(e)
}

// maxID is how long a client id is that a status names.
const maxID = 512

// shortID bounds a client id of a stranger to what a status may hold.
func shortID(id string) string {
	runes := []rune(strings.ToValidUTF8(id, "?"))
	return string(runes[:min(len(runes), maxID)])
}
