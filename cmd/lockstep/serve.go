package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/cmd/internal/control"
	"github.com/lockstep-sync/lockstep/cmd/internal/daemon"
	"github.com/lockstep-sync/lockstep/cmd/internal/metrics"
	"github.com/lockstep-sync/lockstep/syncer"
)

// serving is a Service with what stands around it: a control socket, HTTP, metrics, signals. --watch and the
// agent are alike in that.
type serving struct {
	options agent.ServiceOptions
	make    func(agent.ServiceOptions) (*agent.Service, error)
}

// endpoint is a place where the Service is asked.
type endpoint struct {
	l net.Listener
	h http.Handler
}

// run serves until stop is done, or somebody says stop; ctx ends it at once.
func (v *serving) run(ctx, stop context.Context) error {
	// Sockets first: they are made with all rights, and an agent that runs already is found before anything is opened.
	var all http.Handler
	endpoints, err := v.listen(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { all.ServeHTTP(w, q) }))
	if err != nil {
		return err
	}
	var measured *metrics.Metrics
	v.options.Pushed = func(p api.Push) { measured.Pushed(p) }
	service, err := v.make(v.options)
	if err != nil {
		for _, e := range endpoints {
			e.l.Close()
		}
		return err
	}
	measured = metrics.New(service)
	all = control.Handler(service, measured.Handler())
	defer zap.RedirectStdLog(v.options.Log.Named("control"))() // which net/http writes to

	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	var g errgroup.Group
	for _, e := range endpoints {
		g.Go(func() error { return control.Serve(serving, e.l, e.h) })
	}
	g.Go(func() error {
		v.obey(serving, service)
		return nil
	})
	g.Go(func() error {
		v.tellManager(serving, stop, service)
		return nil
	})
	g.Go(func() error {
		defer stopServing()
		return service.Run(ctx, stop)
	})
	return g.Wait()
}

// listen opens what the settings ask for.
func (v *serving) listen(h http.Handler) (list []endpoint, err error) {
	p := &v.options.Process
	if p.Control != "" {
		l, err := control.Listen(p.Control, p.ControlGroup)
		if err != nil {
			return nil, &syncer.Failure{Code: syncer.CodeSocket, Err: fmt.Errorf("control socket: %w", err)}
		}
		list = append(list, endpoint{l, h})
	}
	if p.Listen == "" {
		return list, nil
	}
	l, guarded, err := control.Remote(h, control.RemoteOptions{
		Listen: p.Listen, Group: p.ControlGroup, Cert: p.ListenCert, Key: p.ListenKey, ClientCA: p.ListenClientCA, TokenFile: p.ListenToken,
	})
	if err != nil {
		for _, e := range list {
			e.l.Close()
		}
		return nil, &syncer.Failure{Code: syncer.CodeSocket, Err: fmt.Errorf("listen: %w", err)}
	}
	v.options.Log.Named("control").Info("listening", zap.Stringer("at", l.Addr()))
	return append(list, endpoint{l, guarded}), nil
}

// obey reads the config again on SIGHUP, where there is one.
func (v *serving) obey(ctx context.Context, service *agent.Service) {
	ch := make(chan os.Signal, 1) // one that waits says all there is to say
	if v.options.Load != nil {
		signal.Notify(ch, syscall.SIGHUP)
		defer signal.Stop(ch)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ch:
			_ = daemon.Notifier{}.Reloading()
			if _, err := service.Reload(ctx); err != nil && !errors.Is(err, api.ErrSettings) { // that is told already
				v.options.Log.Named("agent").Error("the config was not loaded again", zap.Error(err))
			}
			_ = daemon.Ready()
		}
	}
}
