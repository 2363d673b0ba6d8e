package option

import (
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestParseSockopts(t *testing.T) {
	for s, want := range map[string][]Sockopt{
		"":                             nil,
		" , ":                          nil,
		"SO_KEEPALIVE":                 {{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1}},
		"SO_SNDBUF=65536,TCP_NODELAY":  {{"SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, 65536}, {"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1}},
		"TCP_NODELAY=0 IPTOS_LOWDELAY": {{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 0}, {"IPTOS_LOWDELAY", unix.IPPROTO_IP, unix.IP_TOS, 16}},
	} {
		got, err := ParseSockopts(s)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", s, err, diff)
		}
	}
	for _, s := range []string{"SO_FOO", "so_keepalive", "SO_KEEPALIVE=x", "SO_SNDBUF=99999999999", "IPTOS_LOWDELAY=1", "SO_SNDTIMEO=3", "=1"} {
		if got, err := ParseSockopts(s); err == nil {
			t.Errorf("%q is taken: %v", s, got)
		}
	}
}

// TestSockoptsWork: the kernel takes each of them.
func TestSockoptsWork(t *testing.T) {
	opts, err := ParseSockopts("SO_KEEPALIVE,SO_REUSEADDR,SO_BROADCAST,SO_SNDBUF=9000,SO_RCVBUF=9000,SO_RCVLOWAT=2,TCP_NODELAY=1,IPTOS_LOWDELAY,IPTOS_THROUGHPUT")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range opts {
		var set error
		err := raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), o.Level, o.Opt, o.Value) })
		if err != nil || set != nil {
			t.Errorf("%s: %v %v", o.Name, err, set)
		}
	}
}
