package control

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

// ActionHeader must be there, with anything in it, where a guarded handler is to do something. Another site's page cannot
// send it without asking first, and nobody answers that it may.
const ActionHeader = "X-Lockstep"

// guard stands before a handler where a browser, or another machine, can reach it. On loopback without a token reading is
// open to every user and program of this machine, and acting to each that sends ActionHeader: what has to be kept
// out there is the page of another site in a browser of this machine, which can send neither that header nor a Host
// of ours. Where users of a machine do not trust one another it takes a token, or a unix socket.
type guard struct {
	next  http.Handler
	at    *net.TCPAddr // nil: a unix socket
	name  string       // the host as it was configured
	token *[sha256.Size]byte
	tls   *tls.Config
	cert  *certificate
}

func (g *guard) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	defer survive(w, q)
	secure(w.Header())
	if why := g.refuses(q); why != "" {
		answer(w, http.StatusForbidden, failure{Error: why, Code: "forbidden"})
		return
	}
	if !g.knows(q) {
		w.Header().Add("WWW-Authenticate", `Bearer realm="lockstep"`)
		w.Header().Add("WWW-Authenticate", `Basic realm="lockstep: any name, and the token as the password", charset="UTF-8"`)
		answer(w, http.StatusUnauthorized, failure{Error: "the token is missing or wrong: Authorization: Bearer TOKEN", Code: "forbidden"})
		return
	}
	g.next.ServeHTTP(w, q)
}

// refuses says why a request may not come from a client of ours, or "".
func (g *guard) refuses(q *http.Request) string {
	if !g.answersTo(q) {
		return fmt.Sprintf("this is not the lockstep of %.100q: ask by the address that it listens at (listen)", q.Host)
	}
	if site := q.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" && !follows(q) {
		return "a page of another site may not ask"
	}
	if origin := q.Header.Get("Origin"); origin != "" && origin != g.origin(q) {
		return fmt.Sprintf("a page of %.100q may not ask", origin)
	}
	if len(q.Header.Values("Origin")) > 1 || len(q.Header.Values("Sec-Fetch-Site")) > 1 {
		return "a header is there twice"
	}
	if q.Method != http.MethodGet && q.Method != http.MethodHead && q.Header.Get(ActionHeader) == "" {
		return "an action needs the header " + ActionHeader + ", as \"" + ActionHeader + ": 1\""
	}
	return ""
}

// follows says that somebody followed a link to the page.
func follows(q *http.Request) bool {
	return q.Method == http.MethodGet && q.URL.Path == "/" && q.Header.Get("Sec-Fetch-Mode") == "navigate" && q.Header.Get("Sec-Fetch-Dest") == "document"
}

// origin is that of our own page.
func (g *guard) origin(q *http.Request) string {
	if g.tls != nil {
		return "https://" + q.Host
	}
	return "http://" + q.Host
}

// answersTo says whether Host names us. A site whose name was made to point here (DNS rebinding) is known by that name. The
// port may be another one: of a tunnel.
func (g *guard) answersTo(q *http.Request) bool {
	host := q.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	ip := net.ParseIP(host)
	switch {
	case host == "":
		return false
	case host == "localhost", ip != nil && ip.IsLoopback(), g.at != nil && host == g.name:
		return true
	}
	if local, ok := q.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok && ip != nil && ip.Equal(local.IP) {
		return true
	}
	return g.cert != nil && g.cert.names(host)
}

// knows says whether a request has the token, where one is wanted. Certificates were looked at before it came.
func (g *guard) knows(q *http.Request) bool {
	if g.token == nil {
		return true
	}
	given, ok := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
	if !ok {
		_, given, ok = q.BasicAuth()
	}
	sum := sha256.Sum256([]byte(given)) // so that its length tells nothing either
	return subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1 && ok
}

// shortestToken is what nobody guesses over a network.
const shortestToken = 16

// readToken reads the first line of a file that others may not read, and gives its sum.
func readToken(name string) ([sha256.Size]byte, error) {
	none := [sha256.Size]byte{}
	f, err := os.Open(name)
	if err != nil {
		return none, fmt.Errorf("listen-token-file: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return none, fmt.Errorf("listen-token-file: %w", err)
	}
	if st.Mode().Perm()&0o006 != 0 {
		return none, fmt.Errorf("listen-token-file %q must not be accessible by others: chmod 600 it", name)
	}
	line, err := bufio.NewReader(io.LimitReader(f, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return none, fmt.Errorf("listen-token-file: %w", err)
	}
	line = strings.TrimRight(line, "\r\n")
	if len(line) < shortestToken {
		return none, fmt.Errorf("listen-token-file %q: the first line has %d characters, and a token at least %d: openssl rand -hex 32 makes a good one", name, len(line), shortestToken)
	}
	return sha256.Sum256([]byte(line)), nil
}
