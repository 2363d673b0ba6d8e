package control

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
)

const (
	// headerTimeout and requestTimeout bound how long a question may take on its way, answerTimeout how long an answer may.
	headerTimeout  = 5 * time.Second
	requestTimeout = 10 * time.Second
	answerTimeout  = 10 * time.Second
	idleTimeout    = 30 * time.Second
	// lastAnswers is how long an answer may take when the server ends: that of stop, say.
	lastAnswers = time.Second
	// mostConnections is far above what people and monitors need, and far below what hurts.
	mostConnections = 128
	mostHeader      = 16 << 10
)

// Serve answers at l with h until ctx is done, and closes l. What is being answered then has a second to end; what goes
// on (events, a flush) is told by the context of its request.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    mostHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          log.New(io.Discard, "", 0), // broken connections and handshakes: anybody could fill a log
	}
	var g errgroup.Group
	over := make(chan struct{})
	g.Go(func() error {
		defer close(over)
		if err := server.Serve(netutil.LimitListener(l, mostConnections)); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-over:
		}
		ending, cancel := context.WithTimeout(context.Background(), lastAnswers)
		defer cancel()
		if server.Shutdown(ending) != nil {
			server.Close()
		}
		return nil
	})
	return g.Wait()
}
