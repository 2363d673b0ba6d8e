package control

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const testToken = "0123456789abcdef0123456789abcdef"

// remote serves f as o says, until the test ends, and gives the address.
func remote(t *testing.T, f *fake, o RemoteOptions) net.Addr {
	t.Helper()
	l, h, err := Remote(Handler(f, nil), o)
	if err != nil {
		t.Fatal(err)
	}
	serveAt(t, l, h)
	return l.Addr()
}

func serveAt(t *testing.T, l net.Listener, h http.Handler) {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- Serve(ctx, l, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}

func write(t *testing.T, name, content string, mode os.FileMode) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return name
}

// say writes a request as it stands, and gives the status of the answer and its body.
func say(t *testing.T, c net.Conn, request string) (int, string, http.Header) {
	t.Helper()
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(c, strings.ReplaceAll(request, "\n", "\r\n")+"Connection: close\r\n\r\n")
	method, _, _ := strings.Cut(request, " ")
	a, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%.80q: %v", request, err)
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatalf("%.80q: %v", request, err)
	}
	return a.StatusCode, string(body), a.Header
}

// TestGuard is what a browser that was led astray, or somebody with bad intentions, may send.
func TestGuard(t *testing.T) {
	f := &fake{}
	at := remote(t, f, RemoteOptions{Listen: "127.0.0.1:0"})
	_, port, _ := net.SplitHostPort(at.String())
	own := "Host: 127.0.0.1:" + port + "\n"
	const act = "X-Lockstep: 1\n"
	for _, c := range []struct {
		what, request string
		want          int
		says          string
	}{
		{"reading", "GET /v1/status HTTP/1.1\n" + own, 200, ""},
		{"by another port, of a tunnel", "GET /v1/status HTTP/1.1\nHost: localhost:8080\n", 200, ""},
		{"IPv6", "GET /v1/status HTTP/1.1\nHost: [::1]:8080\n", 200, ""},
		{"acting", "POST /v1/pause?sync=www HTTP/1.1\n" + own + act, 204, ""},
		{"the page's own post", "POST /v1/pause HTTP/1.1\n" + own + act + "Origin: http://127.0.0.1:" + port + "\nSec-Fetch-Site: same-origin\n", 204, ""},
		{"a link followed", "GET / HTTP/1.1\n" + own + "Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document\n", 200, "<!doctype html>"},

		{"a rebound name", "GET /v1/status HTTP/1.1\nHost: evil.example:" + port + "\n", 403, "not the lockstep of"},
		{"a name that looks right", "GET /v1/status HTTP/1.1\nHost: localhost.evil.example\n", 403, "not the lockstep of"},
		{"an address that is not ours", "GET /v1/status HTTP/1.1\nHost: 192.0.2.1\n", 403, "not the lockstep of"},
		{"no name", "GET /v1/status HTTP/1.1\nHost: \n", 403, "not the lockstep of"},
		{"none at all", "GET /v1/status HTTP/1.0\n", 403, "not the lockstep of"},
		{"a proxy's form", "GET http://evil.example/v1/status HTTP/1.1\n" + own, 403, "not the lockstep of"},
		{"no header", "POST /v1/stop HTTP/1.1\n" + own, 403, "X-Lockstep"},
		{"another site's post", "POST /v1/stop HTTP/1.1\n" + own + act + "Origin: http://evil.example\n", 403, "evil.example"},
		{"an origin that is hidden", "POST /v1/stop HTTP/1.1\n" + own + act + "Origin: null\n", 403, "null"},
		{"another scheme", "POST /v1/stop HTTP/1.1\n" + own + act + "Origin: https://127.0.0.1:" + port + "\n", 403, "may not ask"},
		{"another port of this machine", "POST /v1/stop HTTP/1.1\n" + own + act + "Sec-Fetch-Site: same-site\n", 403, "another site"},
		{"another site's request", "GET /v1/status HTTP/1.1\n" + own + "Sec-Fetch-Site: cross-site\n", 403, "another site"},
		{"another site's frame", "GET / HTTP/1.1\n" + own + "Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: iframe\n", 403, "another site"},
		{"two origins", "POST /v1/stop HTTP/1.1\n" + own + act + "Origin: http://127.0.0.1:" + port + "\nOrigin: http://evil.example\n", 403, "twice"},
		{"a question before", "OPTIONS /v1/stop HTTP/1.1\n" + own + act + "Origin: http://127.0.0.1:" + port + "\n", 405, ""},
	} {
		conn, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		status, body, header := say(t, conn, c.request)
		if status != c.want || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %q, want %d %q", c.what, status, body, c.want, c.says)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Content-Security-Policy": "frame-ancestors 'none'", "Cache-Control": "no-store"} {
			if got := header.Get(name); !strings.Contains(got, want) {
				t.Errorf("%s: header %s is %q, want %q", c.what, name, got, want)
			}
		}
		if header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: another origin is let in", c.what)
		}
	}
	if told := fmt.Sprint(f.told()); told != `[pause "www" pause ""]` {
		t.Errorf("the service was told %s", told)
	}
}

// TestToken has a token asked for, for everything.
func TestToken(t *testing.T) {
	f := &fake{}
	at := remote(t, f, RemoteOptions{Listen: "localhost:0", TokenFile: write(t, "token", testToken+"\n", 0o600)})
	for _, c := range []struct {
		authorization string
		want          int
	}{
		{"", 401}, {"Bearer ", 401}, {"Bearer " + testToken[:31], 401}, {"Bearer " + testToken + "0", 401}, {testToken, 401}, {"bearer " + strings.ToUpper(testToken), 401},
		{"Basic YTpi", 401}, {"Bearer " + testToken, 200}, {"Basic bWU6MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", 200},
	} {
		for _, path := range []string{"/", "/v1/status", "/healthz", "/readyz", "/nothing"} {
			conn, err := net.Dial("tcp", at.String())
			if err != nil {
				t.Fatal(err)
			}
			request := "GET " + path + " HTTP/1.1\nHost: localhost\n"
			if c.authorization != "" {
				request += "Authorization: " + c.authorization + "\n"
			}
			status, _, header := say(t, conn, request)
			if (status == 401) != (c.want == 401) {
				t.Errorf("%s with %q: %d, want %d", path, c.authorization, status, c.want)
			}
			if status == 401 && len(header.Values("WWW-Authenticate")) != 2 {
				t.Errorf("%s does not say how to authenticate: %v", path, header)
			}
		}
	}
	if f.looks() > 4 { // status and readyz, by those who had it
		t.Errorf("the service was asked %d times", f.looks())
	}
}

// TestRemoteRefuses lists what does not start.
func TestRemoteRefuses(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue(t, "server", "localhost")
	token := write(t, "token", testToken, 0o600)
	for _, c := range []struct {
		o    RemoteOptions
		want string
	}{
		{RemoteOptions{Listen: ":9874"}, `without listen-cert and listen-key (TLS), and listen-token-file or listen-client-ca (who may ask); for this machine alone listen at 127.0.0.1:9874`},
		{RemoteOptions{Listen: "0.0.0.0:9874", TokenFile: token}, "without listen-cert and listen-key (TLS); for"},
		{RemoteOptions{Listen: "[::]:9874", Cert: cert, Key: key}, "without listen-token-file or listen-client-ca"},
		{RemoteOptions{Listen: "192.0.2.7:1"}, "other machines can reach"},
		{RemoteOptions{Listen: "127.0.0.1"}, "neither HOST:PORT"},
		{RemoteOptions{Listen: "relative.sock"}, "neither HOST:PORT"},
		{RemoteOptions{Listen: "127.0.0.1:http-of-old"}, "http-of-old"},
		{RemoteOptions{Listen: "127.0.0.1:0", Cert: cert}, "listen-key is missing"},
		{RemoteOptions{Listen: "127.0.0.1:0", Key: key}, "listen-cert is missing"},
		{RemoteOptions{Listen: "127.0.0.1:0", ClientCA: ca.file}, "needs TLS"},
		{RemoteOptions{Listen: "127.0.0.1:0", Cert: key, Key: key}, "listen-cert"},
		{RemoteOptions{Listen: "127.0.0.1:0", Cert: cert, Key: key, ClientCA: key}, "holds no certificate"},
		{RemoteOptions{Listen: "127.0.0.1:0", TokenFile: "/nonexistent/token"}, "listen-token-file: open /nonexistent/token"},
		{RemoteOptions{Listen: "127.0.0.1:0", TokenFile: write(t, "short", "secret\n", 0o600)}, "has 6 characters, and a token at least 16"},
		{RemoteOptions{Listen: "127.0.0.1:0", TokenFile: write(t, "open", testToken, 0o644)}, "chmod 600"},
	} {
		l, _, err := Remote(http.NotFoundHandler(), c.o)
		if err == nil {
			l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}

// TestBeyondLoopback listens at an address of another network, in a namespace, and asks from there.
func TestBeyondLoopback(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making a network namespace needs root")
	}
	const address = "192.0.2.1"
	ca := newAuthority(t)
	cert, key := ca.issue(t, "server", "lockstep.example")
	f := &fake{}
	o := RemoteOptions{Listen: address + ":9874", Cert: cert, Key: key, TokenFile: write(t, "token", testToken, 0o600)}
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("no network namespace: %v", err)
	}
	for _, args := range []string{"link set lo up", "address add " + address + "/32 dev lo"} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", args, err, out)
		}
	}
	l, h, err := Remote(Handler(f, nil), o)
	if err != nil {
		t.Fatal(err)
	}
	serveAt(t, l, h)

	conn, err := net.Dial("tcp", o.Listen)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /v1/stop HTTP/1.1\r\nHost: %s\r\nX-Lockstep: 1\r\n\r\n", address)
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if plain, err := io.ReadAll(conn); strings.Contains(string(plain), "HTTP/1.1 ") || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("without TLS: %q, %v", plain, err)
	}
	conn.Close()
	for _, c := range []struct {
		request string
		want    int
	}{
		{"POST /v1/stop HTTP/1.1\nHost: " + address + "\nX-Lockstep: 1\n", 401},
		{"GET /v1/status HTTP/1.1\nHost: lockstep.example\n", 401},
		{"GET /v1/status HTTP/1.1\nHost: evil.example\nAuthorization: Bearer " + testToken + "\n", 403},
		{"GET /v1/status HTTP/1.1\nHost: lockstep.example:9874\nAuthorization: Bearer " + testToken + "\n", 200},
		{"GET /v1/status HTTP/1.1\nHost: " + address + "\nAuthorization: Bearer " + testToken + "\n", 200},
	} {
		conn, err := net.Dial("tcp", o.Listen)
		if err != nil {
			t.Fatal(err)
		}
		secured := tls.Client(conn, &tls.Config{RootCAs: ca.pool, ServerName: "lockstep.example"})
		if status, body, _ := say(t, secured, c.request); status != c.want {
			t.Errorf("%q: %d %q, want %d", c.request, status, body, c.want)
		}
	}
	if told := f.told(); len(told) > 0 {
		t.Errorf("the service was told %q", told)
	}
}

// TestClientCertificates lets in those whose certificate is of the right authority, and takes a renewed one of its own.
func TestClientCertificates(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	cert, key := ca.issue(t, "server", "localhost")
	at := remote(t, &fake{}, RemoteOptions{Listen: "127.0.0.1:0", Cert: cert, Key: key, ClientCA: ca.file})
	ask := func(cfg *tls.Config) (int, *x509.Certificate, error) {
		cfg.RootCAs = ca.pool
		client := http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}, Timeout: 20 * time.Second}
		a, err := client.Get("https://localhost:" + fmt.Sprint(at.(*net.TCPAddr).Port) + "/v1/status")
		if err != nil {
			return 0, nil, err
		}
		defer a.Body.Close()
		return a.StatusCode, a.TLS.PeerCertificates[0], nil
	}
	shows := func(a *authority) *tls.Config {
		cert, key := a.issue(t, "client", "monitor")
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }}
	}
	if status, _, err := ask(&tls.Config{}); err == nil {
		t.Errorf("without a certificate: %d", status)
	}
	if status, _, err := ask(shows(other)); err == nil {
		t.Errorf("with another authority's certificate: %d", status)
	}
	status, first, err := ask(shows(ca))
	if err != nil || status != 200 {
		t.Fatalf("with a certificate: %d, %v", status, err)
	}
	renewed, renewedKey := ca.issue(t, "renewed", "localhost")
	for from, to := range map[string]string{renewedKey: key, renewed: cert} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(cert, later, later); err != nil {
		t.Fatal(err)
	}
	status, second, err := ask(shows(ca))
	if err != nil || status != 200 || second.SerialNumber.Cmp(first.SerialNumber) == 0 {
		t.Errorf("after it was renewed: %d, %v, serial number %v", status, err, second)
	}
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	file string
	last int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	a.key = newKey(t)
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	a.file = write(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o600)
	a.last = time.Now().UnixNano()
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// issue makes a certificate and its key for name.
func (a *authority) issue(t *testing.T, file, name string) (cert, key string) {
	t.Helper()
	k := newKey(t)
	a.last++
	c := &x509.Certificate{SerialNumber: big.NewInt(a.last), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &k.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert = write(t, file+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o644)
	key = write(t, file+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), 0o600)
	return cert, key
}
