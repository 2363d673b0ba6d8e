package sender_test

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// chunk is what one read brought.
type chunk struct {
	up   bool
	data []byte
}

// recorder relays one connection and keeps what passes.
type recorder struct {
	addr   string
	done   sync.WaitGroup
	mu     sync.Mutex // guards chunks
	chunks []chunk
}

func record(t *testing.T, target string, meddle bool) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{addr: l.Addr().String()}
	rec.done.Go(func() {
		defer l.Close()
		client, err := l.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		server, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer server.Close()
		var both sync.WaitGroup
		both.Go(func() { rec.forward(server, client, false, false) })
		rec.forward(client, server, true, meddle)
		both.Wait()
	})
	return rec
}

func (r *recorder) forward(from, to net.Conn, up, meddle bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			r.mu.Lock()
			r.chunks = append(r.chunks, chunk{up, bytes.Clone(buf[:n])})
			r.mu.Unlock()
		}
		if i := bytes.Index(buf[:n], []byte("DAMAGE")); i >= 0 && meddle {
			buf[i], meddle = 'd', false
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			to.(*net.TCPConn).CloseWrite()
			return
		}
	}
}

func (r *recorder) wait() []chunk {
	r.done.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.chunks
}
