// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package crashmatrix

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// errDead is what every call of a dead process comes to.
var errDead = errors.New("the process is dead")

// class is a kind of boundary.
type class string

// The classes.
const (
	cacheRead  class = "cached"
	liveRead   class = "live"
	kubeWrite  class = "kubernetes"
	serverCall class = "authorization server"
	auditWrite class = "audit"
)

// call is one touch of the world.
type call struct {
	class class
	verb  string
	what  string
	// kind is that of the objects that are read or written.
	kind string
	// stale and behind are the versions of the kind that a cache could still
	// show: the one before, and that from before the operation; noVersion
	// where there is none such.
	stale, behind int
	// changes says that the call did change something that is kept.
	changes bool
	// came is what became of work that was done late.
	came error
}

func (c call) String() string { return fmt.Sprintf("%s %s (%s)", c.verb, c.what, c.class) }

// mode is a way to break a boundary.
type mode string

// The modes.
const (
	whole        mode = ""
	crashBefore  mode = "crash before"
	crashAfter   mode = "crash after"
	answerLost   mode = "answer lost"
	failedAfter  mode = "500 after commit"
	failedBefore mode = "unavailable"
	appliedLate  mode = "applied late"
	unheeded     mode = "accepted without effect"
	staleCache   mode = "stale cache"
	behindCache  mode = "cache far behind"
)

// modes are the ways that make sense at a boundary. A crash at a read is a
// crash after the write before it. A cache does not fail.
func (c call) modes() []mode {
	switch c.class {
	case kubeWrite:
		return []mode{crashBefore, crashAfter, answerLost, failedAfter, failedBefore}
	case serverCall:
		possible := []mode{crashBefore, crashAfter, answerLost, failedAfter, failedBefore}
		switch c.verb {
		case "Register":
			possible = append(possible, appliedLate)
		case "Revoke", "Disable":
			possible = append(possible, unheeded)
		}
		return possible
	case auditWrite:
		return []mode{crashBefore, crashAfter}
	case liveRead:
		return []mode{answerLost, failedAfter}
	case cacheRead:
		var possible []mode
		if c.stale != noVersion {
			possible = append(possible, staleCache)
		}
		if c.behind != noVersion {
			possible = append(possible, behindCache)
		}
		return possible
	}
	return nil
}

// fault is a boundary and how it breaks: the one of a number, or the first
// call of a name.
type fault struct {
	at   int
	verb string
	mode mode
}

var noFault = fault{at: -1}

// tape counts the boundaries of one life of the manager and breaks one.
type tape struct {
	fault fault
	dead  bool
	calls []call
	// late is what the authorization server does only after its next answer.
	late func()
	// lagging are the kinds whose cache stands still until the pass is over.
	lagging map[string]int
}

// next notes a call and says how it breaks.
func (p *tape) next(c call) mode {
	p.calls = append(p.calls, c)
	if c.verb != "" && c.verb == p.fault.verb {
		p.fault.at, p.fault.verb = len(p.calls)-1, ""
	}
	if len(p.calls)-1 == p.fault.at {
		return p.fault.mode
	}
	return whole
}

// do carries a call out, or breaks it. work is told whether its answer is to be
// thrown away, and says whether it changed anything.
func (p *tape) do(c call, work func(lost bool) (changed bool, err error)) error {
	if p.dead {
		return errDead
	}
	m := p.next(c)
	at := len(p.calls) - 1
	run := func(lost bool) error {
		changed, err := work(lost)
		p.calls[at].changes = changed
		return err
	}
	switch m {
	case crashBefore:
		p.dead = true
		return errDead
	case crashAfter:
		err := run(true)
		p.dead = true
		return errors.Join(errDead, err)
	case answerLost, failedAfter:
		if err := run(true); err != nil {
			return err
		}
		return c.failure(m)
	case failedBefore:
		return c.failure(m)
	case appliedLate:
		p.late = func() { p.calls[at].came = run(true) }
		return c.failure(answerLost)
	case unheeded:
		return nil
	case whole, staleCache, behindCache:
	}
	if late := p.late; late != nil && c.class == serverCall {
		p.late = nil
		defer late()
	}
	return run(false)
}

// failure is the error of a broken call.
func (c call) failure(m mode) error {
	if c.class == serverCall {
		return c.serverFailure(m)
	}
	switch m {
	case answerLost:
		return &url.Error{Op: c.verb, URL: "https://kubernetes.example", Err: io.ErrUnexpectedEOF}
	case failedAfter:
		return apierrors.NewInternalError(errors.New("etcdserver: request timed out"))
	case whole, crashBefore, crashAfter, failedBefore, appliedLate, unheeded, staleCache, behindCache:
	}
	return apierrors.NewServiceUnavailable("the server is currently unable to handle the request")
}

// sideEffectFree are the calls that change nothing at any server.
var sideEffectFree = []string{"Discover", "List", "ChallengeRequired", "CanaryToken"}

func (c call) serverFailure(m mode) error {
	failure := &authserver.Error{Kind: authserver.Unavailable, Op: c.verb}
	if m == failedBefore {
		failure.Status = 503
		return failure
	}
	failure.MaybeApplied = !slices.Contains(sideEffectFree, c.verb)
	if m == failedAfter {
		failure.Status = 500
	} else {
		failure.Err = io.ErrUnexpectedEOF
	}
	return failure
}
