package wire

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// maxUnsent is how much may wait in the kernel that the network, or the peer, does not take yet.
// What is under way comes on top, so that long links stay full.
const maxUnsent = 64 << 10

// limitUnsent keeps data with us until they can leave (tcp(7), TCP_NOTSENT_LOWAT). Without
// it megabytes wait in the socket, and each ACK of the peer sends some of them on: on one host
// that is done at the expense of the peer, which is the slower of the two when a file is new. It
// took a quarter more of its time.
func limitUnsent(c Conn) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent) // no TCP: no matter
	})
}
