// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

const (
	// beatEvery is how often the API server is asked whether it is there.
	beatEvery = 2 * time.Second
	// beatTimeout is for how long its answer is waited for.
	beatTimeout = 2 * time.Second
	// silences is after how many answers that did not come, one after the other,
	// the connections are given up. It doubles each time.
	silences = 3
)

// listen asks the API server again and again whether it is there.
func (r *Register) listen(ctx context.Context) error {
	ticker := r.clock.NewTicker(beatEvery)
	defer ticker.Stop()
	p := pulse{patience: silences}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		case <-r.doubt:
		}
		err := r.beat(ctx)
		if ctx.Err() != nil {
			return nil
		}
		switch p.felt(err) {
		case pulseLost:
			r.log.Error(err, "API server does not answer: the register ages")
		case pulseBack:
			r.log.Info("API server answers again")
		case pulseSilent:
			r.log.Info("API server does not answer: connecting anew")
			r.api.connections.CloseAll()
		case pulseSame:
		}
	}
}

// pulse makes of answers what there is to do about them.
type pulse struct {
	lost             bool
	silent, patience int
}

type pulseChange int

const (
	pulseSame pulseChange = iota
	pulseLost
	pulseBack
	// pulseSilent: answers did not come in time for so long that the connection
	// is doubted.
	pulseSilent
)

func (p *pulse) felt(err error) pulseChange {
	was := p.lost
	p.lost = err != nil
	if errors.Is(err, context.DeadlineExceeded) {
		p.silent++
	} else {
		p.silent = 0
	}
	switch {
	case err == nil && was:
		p.patience = silences
		return pulseBack
	case err != nil && !was:
		return pulseLost
	case p.silent >= p.patience:
		p.silent, p.patience = 0, 2*p.patience
		return pulseSilent
	}
	return pulseSame
}

// beat asks the API server for something that it must read from its storage:
// where it cannot, its watches bring nothing either. Only an answer that proves
// that it was not put back counts.
func (r *Register) beat(ctx context.Context) error {
	turn, asked := r.contact.turn(), r.clock.Now()
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	err := r.prove(ctx)
	if history, is := errors.AsType[*historyError](err); is {
		r.astray(history)
		return nil
	}
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("asking the API server: %w", err)
	}
	if r.contact.confirm(asked, turn, r.needed()) {
		r.log.Info("Register is complete")
		r.news.send()
	}
	return nil
}

func (r *Register) prove(ctx context.Context) error {
	if r.lease == nil {
		return r.look(ctx)
	}
	return r.lease.prove(ctx)
}

// astray has everything read anew: what was followed is of another history.
// Nothing passes before that is done.
func (r *Register) astray(why *historyError) {
	r.log.Error(why, "API server was put back: everything is read anew, and nothing passes until then")
	r.contact.forget()
	r.tell([]guard.Change{{}})
	r.again.send()
}
