package control

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"
)

// tls is the configuration of a server, nil without a certificate.
func (o RemoteOptions) tls() (*tls.Config, *certificate, error) {
	if o.Cert == "" {
		return nil, nil, nil
	}
	c := &certificate{cert: o.Cert, key: o.Key}
	if err := c.load(); err != nil {
		return nil, nil, fmt.Errorf("listen-cert %q with listen-key %q: %w", o.Cert, o.Key, err)
	}
	cfg := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.newest(), nil },
	}
	if o.ClientCA == "" {
		return cfg, c, nil
	}
	pem, err := os.ReadFile(o.ClientCA)
	if err != nil {
		return nil, nil, fmt.Errorf("listen-client-ca: %w", err)
	}
	cfg.ClientCAs = x509.NewCertPool()
	if !cfg.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, nil, fmt.Errorf("listen-client-ca %q holds no certificate (PEM)", o.ClientCA)
	}
	cfg.ClientAuth = tls.RequireAndVerifyClientCert
	return cfg, c, nil
}

// certificate is that of a server, read again when its file changed: they are renewed every few weeks.
type certificate struct {
	cert, key string

	mu      sync.Mutex // guards what follows, and the reading of it
	now     *tls.Certificate
	changed time.Time
}

func (c *certificate) load() error {
	st, err := os.Stat(c.cert)
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return err
	}
	c.now, c.changed = &pair, st.ModTime()
	return nil
}

// newest is what the files hold, or where that cannot be read or does not fit, what they held.
func (c *certificate) newest() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if st, err := os.Stat(c.cert); err == nil && !st.ModTime().Equal(c.changed) {
		c.load()
	}
	return c.now
}

// names says whether the certificate is for host.
func (c *certificate) names(host string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now.Leaf != nil && c.now.Leaf.VerifyHostname(host) == nil
}
