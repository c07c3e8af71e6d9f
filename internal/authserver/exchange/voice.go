// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"encoding/base64"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// Voice says whose words an answer is in. Between the register and the server
// stand proxies, login pages, firewalls and maintenance pages, and each of them
// answers with the statuses of the protocol: a status alone says nothing.
//
// The server's own form is
//
//   - of success with content: the JSON type and, for each caller to see to, the
//     members that must be there. Without Content-Type the members alone decide,
//     of which an empty list has none.
//   - of a deletion: 204, or 200 with nothing or a JSON object. A proxy may say
//     that too, and nobody can tell: the proof comes later, and never from it.
//   - of a refusal: a JSON object with a text called error (RFC 6749 §5.2, RFC
//     7591 §3.2.2, Hydra, Keycloak), or for 401 and 403 a Bearer challenge (RFC
//     6750 §3), neither of them about another origin.
//   - of a method that is not there: a refusal, or 405 with Allow and no body.
//
// All else is a stranger's: Unavailable, whatever its status.
type Voice int

// Whose words an answer is in.
const (
	// Strange is somebody else's, or nobody can tell.
	Strange Voice = iota
	// Bare is a Bearer challenge that names neither realm nor error: the form is
	// the server's, and anybody's.
	Bare
	// Own is the server's own.
	Own
)

// Refusal says whose words an answer is in that is not success.
func (e *Exchange) Refusal(a Answer) Voice {
	challenged := e.challenge(a)
	switch {
	case challenged.elsewhere:
		return Strange
	case refuses(a), knowsMethods(a):
		return Own
	case a.Status != http.StatusUnauthorized && a.Status != http.StatusForbidden:
		return Strange
	case challenged.says != "", challenged.here:
		return Own
	case challenged.bearer && !challenged.realm:
		return Bare
	}
	return Strange
}

// knowsMethods says that an answer names the methods that there are (RFC 9110
// §15.5.6), and nothing else.
func knowsMethods(a Answer) bool {
	return a.Status == http.StatusMethodNotAllowed && a.Header.Get("Allow") != "" && len(a.Body) == 0 && a.BodyErr == nil
}

// Done says that a change was accepted, by an answer that need not say more.
func (a Answer) Done() bool {
	switch {
	case a.Status == http.StatusNoContent:
		return true
	case !a.Success() || a.BodyErr != nil:
		return false
	case len(a.Body) == 0:
		return true
	}
	_, err := LookInto(a.Body)
	return err == nil && a.typed()
}

// Refuses says that an answer is a refusal in the server's own JSON.
func (a Answer) Refuses() bool { return !a.Success() && refuses(a) }

// refuses says that an answer is a JSON object with an error, whose text some
// servers make a sentence. Keycloak calls it errorMessage at times.
func refuses(a Answer) bool {
	if a.BodyErr != nil || !a.typed() {
		return false
	}
	fields, err := LookInto(a.Body)
	return err == nil && (fields.Shown("error", LongText) != "" || fields.Shown("errorMessage", LongText) != "")
}

// typed says that an answer calls itself JSON, or does not say what it is.
func (a Answer) typed() bool {
	said := a.Header.Values("Content-Type")
	if len(said) == 0 {
		return true
	}
	kind, _, err := mime.ParseMediaType(said[0])
	return err == nil && len(said) == 1 && (kind == JSONType || strings.HasSuffix(kind, "+json"))
}

// challenged is what the Bearer challenges of an answer say.
type challenged struct {
	// bearer says that there is one, realm that one has a realm.
	bearer, realm bool
	// here says that a realm is the server's origin, elsewhere that something
	// names another.
	here, elsewhere bool
	// says is the known error code of one without realm, about what any says
	// of it.
	says, about string
}

func (e *Exchange) challenge(a Answer) challenged {
	var c challenged
	for _, parameters := range bearers(a.Header.Values("WWW-Authenticate")) {
		realm := parameters["realm"]
		c.bearer, c.realm = true, c.realm || realm != ""
		if isURL(realm) {
			c.here, c.elsewhere = c.here || e.Ours(realm), c.elsewhere || !e.Ours(realm)
		}
		if at, there := parameters["resource_metadata"]; there && !e.Ours(at) {
			c.elsewhere = true
		}
		c.about += " " + parameters["error_description"]
		if code := parameters["error"]; realm == "" && slices.Contains(knownCodes, code) {
			c.says = code
		}
	}
	return c
}

// isURL says that a realm is more than a name.
func isURL(realm string) bool {
	parsed, err := url.Parse(realm)
	return err == nil && parsed.Host != ""
}

// bearers are the parameters of each Bearer challenge (RFC 9110 §11.6.1), by
// lower-case name.
func bearers(headers []string) []map[string]string {
	var list []map[string]string
	for _, header := range headers {
		var current map[string]string
		for rest := header; rest != ""; {
			var name, value string
			var scheme bool
			name, value, scheme, rest = nextPart(rest)
			if scheme {
				if current = nil; strings.EqualFold(name, "Bearer") {
					current = map[string]string{}
					list = append(list, current)
				}
				continue
			}
			if current != nil && name != "" {
				current[strings.ToLower(name)] = value
			}
		}
	}
	return list
}

// nextPart cuts off one scheme, or one parameter with its value.
func nextPart(header string) (name, value string, scheme bool, rest string) {
	header = strings.TrimLeft(header, " \t,")
	end := strings.IndexAny(header, " \t,=")
	if end < 0 {
		return header, "", header != "", ""
	}
	name, rest = header[:end], strings.TrimLeft(header[end:], " \t")
	if after, found := strings.CutPrefix(rest, "="); found && name != "" {
		value, rest = nextValue(strings.TrimLeft(after, " \t"))
		return name, value, false, rest
	}
	return name, "", name != "", strings.TrimLeft(rest, "=")
}

// nextValue cuts off a token or a quoted string.
func nextValue(text string) (value, rest string) {
	quoted, found := strings.CutPrefix(text, `"`)
	if !found {
		end := strings.IndexAny(text, " \t,")
		if end < 0 {
			return text, ""
		}
		return text[:end], text[end:]
	}
	var kept []byte
	for i := 0; i < len(quoted); i++ {
		switch c := quoted[i]; {
		case c == '"':
			return string(kept), quoted[i+1:]
		case c == '\\' && i+1 < len(quoted):
			i++
			kept = append(kept, quoted[i])
		default:
			kept = append(kept, c)
		}
	}
	return string(kept), ""
}

// expired finds a description of a token that ran out, generic those that name
// it as one of several reasons.
var (
	expired = regexp.MustCompile(`(?i)expire`)
	generic = regexp.MustCompile(`(?i)revoked|malformed|invalid|unknown|not found`)
)

// RanOut says that a refusal is for a token that ran out, by what the server
// says or by what the token says of itself.
func (e *Exchange) RanOut(a Answer, token authserver.Secret) bool {
	about := e.challenge(a).about
	if fields, err := LookInto(a.Body); err == nil {
		about += " " + fields.Shown("error_description", LongText)
	}
	if expired.MatchString(about) && !generic.MatchString(about) {
		return true
	}
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	claims, err := LookInto(raw)
	if err != nil {
		return false
	}
	end := claims.Instant("exp")
	return claims.Err() == nil && !end.IsZero() && !e.options.Now().Before(end)
}
