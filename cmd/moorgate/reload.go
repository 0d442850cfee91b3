package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"

	"moorgate/authz/identity"
	"moorgate/router"
)

// settleFile is how long a changed file must stay as it is before it is read:
// editors write in several steps.
const settleFile = 200 * time.Millisecond

// watchConfig reads the configuration again on SIGHUP and when its file
// changes, until ctx ends.
func (g *gate) watchConfig(ctx context.Context, file string) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	var changes chan fsnotify.Event
	if w, err := fsnotify.NewWatcher(); err != nil {
		g.log.Warn("changes of the configuration are not watched: send SIGHUP after one", zap.Error(err))
	} else {
		defer w.Close()
		// The folder, since editors put a new file in the old one's place.
		if err := w.Add(filepath.Dir(file)); err != nil {
			g.log.Warn("changes of the configuration are not watched: send SIGHUP after one", zap.Error(err))
		}
		changes = w.Events
	}
	timer := time.NewTimer(0)
	<-timer.C
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			g.reload(file, true)
		case e := <-changes:
			if filepath.Base(e.Name) == filepath.Base(file) && !e.Has(fsnotify.Chmod) {
				timer.Reset(settleFile)
			}
		case <-timer.C:
			g.reload(file, false)
		}
	}
}

// reload builds the new whole, checks it and swaps it in; a fault keeps the
// old. Asked says that a person wants it, also of an unchanged file, whose
// secrets may have changed.
func (g *gate) reload(file string, asked bool) {
	old := g.graph.Load()
	c, err := loadConfig(file)
	if err == nil && !asked && c.sum == old.config.sum {
		return
	}
	var made *graph
	if err == nil {
		err = fixed(old.config, c)
	}
	if err == nil {
		made, err = g.build(c)
	}
	if err == nil {
		err = g.doors(made)
	}
	if err != nil {
		g.metrics.Reloaded(false, old.config.sum)
		g.log.Error("the configuration was not taken, the old one stays in force", zap.String("file", file), zap.Error(err))
		return
	}
	g.swap(made)
	g.metrics.Reloaded(true, c.sum)
	g.revokeTerminals(made) // first: with the reason, rather than by the end of its stream
	cut := g.forwarder.Revoke("moorgate: your right to this was withdrawn", func(ctx context.Context, call *router.Call) bool {
		who, ok := identity.From(ctx)
		return ok && made.roles.May(made.users.Roles(who.User, who.Groups), call.Action, call.Engine)
	})
	g.log.Info("the configuration was read again", zap.String("file", file), zap.String("sha256", c.sum), zap.Int("streams_cut", cut))
}

// fixed says what of a configuration cannot change while moorgate runs.
func fixed(old, c *Config) error {
	same := len(old.Listen) == len(c.Listen)
	for i := 0; same && i < len(c.Listen); i++ {
		same = reflect.DeepEqual(old.Listen[i].ListenConfig, c.Listen[i].ListenConfig)
	}
	switch {
	case !same:
		return errors.New("listen: addresses, modes and tls are of open sockets: restart to change them")
	case old.Audit != c.Audit:
		return errors.New("audit: restart to change it")
	case old.Log != c.Log:
		return errors.New("log: restart to change it")
	}
	return fixedTerminals(old, c)
}
