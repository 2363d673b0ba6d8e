package fanotify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// bufferSize holds about a thousand events; the largest, a rename of two long names, has under 1 KiB.
const bufferSize = 64 << 10

// linger is how long events are left to gather when others came just before: read one by one, they
// cost the reader three system calls each, the writers a wake-up, and nothing is merged. Measured on
// tmpfs with 2 writers and cores: the price of a file made and removed falls from 7 to 2 µs of CPU.
// An event after a pause is read at once.
const linger = time.Millisecond

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

// doneFd gives a descriptor that can be read once ctx is done.
func doneFd(ctx context.Context) (fd int, free func(), err error) {
	fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return -1, nil, fmt.Errorf("make eventfd: %w", err)
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		_, _ = unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 1}) // not zero in either byte order
	})
	return fd, func() {
		if !stop() {
			<-woken
		}
		unix.Close(fd)
	}, nil
}
