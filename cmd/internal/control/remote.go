package control

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
)

// RemoteOptions say where browsers, monitors and other machines may ask, and what they have to show.
type RemoteOptions struct {
	Listen string // HOST:PORT, or the path of a unix socket
	Group  string // who may connect to that unix socket beside root

	Cert, Key string // files, PEM: TLS
	ClientCA  string // a file, PEM: a client shows a certificate that one of these signed
	TokenFile string // its first line is what a client sends: "Authorization: Bearer TOKEN", or as the password of Basic
}

// Remote listens, and guards h: what Serve is to be given. Of what is configured everything is asked for. Beyond
// loopback nothing is listened at without TLS and either a token or certificates of clients.
func Remote(h http.Handler, o RemoteOptions) (net.Listener, http.Handler, error) {
	g, err := o.guard(h)
	if err != nil {
		return nil, nil, err
	}
	l, err := o.open(g)
	if err != nil {
		return nil, nil, fmt.Errorf("listen: %w", err)
	}
	if g.tls != nil {
		l = tls.NewListener(l, g.tls)
	}
	return l, g, nil
}

// Check says what Remote would refuse, without listening.
func (o RemoteOptions) Check() error {
	_, err := o.guard(nil)
	return err
}

func (o RemoteOptions) open(g *guard) (net.Listener, error) {
	if o.unix() {
		return Listen(o.Listen, o.Group)
	}
	return net.ListenTCP("tcp", g.at)
}

// unix says that Listen is a path.
func (o RemoteOptions) unix() bool { return filepath.IsAbs(o.Listen) }

// guard checks all that is configured.
func (o RemoteOptions) guard(h http.Handler) (*guard, error) {
	g := &guard{next: h}
	if !o.unix() {
		host, _, err := net.SplitHostPort(o.Listen)
		if err != nil {
			return nil, fmt.Errorf("listen: %q is neither HOST:PORT, as 127.0.0.1:9874, nor the whole path of a unix socket", o.Listen)
		}
		if g.at, err = net.ResolveTCPAddr("tcp", o.Listen); err != nil {
			return nil, fmt.Errorf("listen: %q: %w", o.Listen, err)
		}
		g.name = strings.ToLower(host)
	}
	if err := o.away(g.at); err != nil {
		return nil, err
	}
	var errs []error
	if o.TokenFile != "" {
		token, err := readToken(o.TokenFile)
		errs = append(errs, err)
		g.token = &token
	}
	var err error
	if g.tls, g.cert, err = o.tls(); err != nil {
		errs = append(errs, err)
	}
	return g, errors.Join(errs...)
}

// away refuses what lets in others than this machine's own users without knowing who they are.
func (o RemoteOptions) away(at *net.TCPAddr) error {
	switch {
	case (o.Cert == "") != (o.Key == ""):
		return fmt.Errorf("listen-cert and listen-key belong together: %s is missing", map[bool]string{true: "listen-cert", false: "listen-key"}[o.Cert == ""])
	case o.ClientCA != "" && o.Cert == "":
		return errors.New("listen-client-ca needs TLS: listen-cert and listen-key are missing")
	case at == nil || at.IP.IsLoopback():
		return nil
	}
	var missing []string
	if o.Cert == "" {
		missing = append(missing, "listen-cert and listen-key (TLS)")
	}
	if o.TokenFile == "" && o.ClientCA == "" {
		missing = append(missing, "listen-token-file or listen-client-ca (who may ask)")
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("listen: other machines can reach %q, so it is not opened without %s; for this machine alone listen at 127.0.0.1:%d",
		o.Listen, strings.Join(missing, ", and "), at.Port)
}
