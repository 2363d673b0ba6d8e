package fanotify

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// bufferSize holds about a thousand events; the largest, a rename of two long names, has under 1 KiB.
const bufferSize = 64 << 10

// readReady fills buf with whole events; none are no error.
func readReady(group int, buf []byte) ([]byte, error) {
	for {
		n, err := unix.Read(group, buf)
		switch {
		case err == nil:
			return buf[:n], nil
		case errors.Is(err, unix.EAGAIN):
			return nil, nil
		case !errors.Is(err, unix.EINTR):
			return nil, fmt.Errorf("read fanotify group: %w", err)
		}
	}
}

// poll waits until one of two descriptors can be read, or for the time given; negative is for ever.
// Not by the runtime's poller: that would want the descriptors for itself.
func poll(group, quit int, wait time.Duration) error {
	ms := -1
	if wait >= 0 {
		ms = int(wait/time.Millisecond) + 1
	}
	fds := []unix.PollFd{{Fd: int32(group), Events: unix.POLLIN}, {Fd: int32(quit), Events: unix.POLLIN}}
	_, err := unix.Poll(fds, ms)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("poll fanotify group: %w", err)
	}
	return nil
}
