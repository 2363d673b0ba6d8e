package syncer_test

import (
	"net"
	"strings"
	"testing"

	"github.com/lockstep-sync/lockstep/syncer"
)

// --address, -4, -6 and --sockopts, as a daemon's log and our own listener see them.
func TestInteropDial(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(*syncer.Config)
		from string // what the peer sees; "" is no connection
		says string
	}{
		{"address", func(c *syncer.Config) { c.Address = "127.0.0.7" }, "127.0.0.7", ""},
		{"IPv4", func(c *syncer.Config) { c.Family = 4; c.Target.Host = "localhost" }, "127.0.0.1", ""},
		{"IPv6 to one of IPv4", func(c *syncer.Config) { c.Family = 6 }, "", "connect to the daemon"},
		{"address of another family", func(c *syncer.Config) { c.Family = 4; c.Address = "::1" }, "", "--address"},
		{"socket options", func(c *syncer.Config) { c.Sockopts = "SO_KEEPALIVE,SO_SNDBUF=65536,TCP_NODELAY=0" }, "127.0.0.1", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			write(t, r.in("a"), "x")
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			seen := make(chan string, 1)
			go func() { // between us and the daemon, to see who calls
				defer close(seen)
				c, err := l.Accept()
				if err != nil {
					return
				}
				host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
				seen <- host
				c.Close()
			}()
			cfg := r.config()
			pointAt(t, &cfg, l.Addr().String())
			tt.set(&cfg)
			s, err := syncer.New(cfg)
			if err == nil {
				_, err = s.Push(t.Context(), syncer.Full())
				s.Close()
			}
			l.Close()
			if got := <-seen; got != tt.from {
				t.Errorf("called from %q, want %q; %v", got, tt.from, err)
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %q", err, tt.says)
			}
			if tt.from == "" {
				return
			}
			target := cfg.Target.Host
			pointAt(t, &cfg, r.daemon.Addr())
			cfg.Target.Host = target
			r.mustPush(cfg)
			r.equal()
		})
	}
}
