package wire

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// QuickAck asks the kernel to acknowledge at once what arrives next; it forgets that
// after a while, so it is asked before each read. A stock daemon writes in small
// pieces with Nagle's algorithm on and waits for each acknowledgement: without this,
// pushing one small file takes two delayed ACKs of 40 ms (tcp(7), TCP_QUICKACK).
func QuickAck(c Conn) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return // pipes know no ACKs
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
}
