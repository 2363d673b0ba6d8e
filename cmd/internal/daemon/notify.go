package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Ready tells the parent of Detach, and systemd, that the program does what it is there for. After Reloading it says that this is done.
func Ready() error {
	err := tellParent()
	_, sdErr := sd.SdNotify(false, sd.SdNotifyReady)
	return errors.Join(err, sdErr)
}

// Notifier tells systemd how the service is doing. Its errors may be ignored: nothing depends on them.
type Notifier struct{}

// Status shows a line in systemctl status.
func (Notifier) Status(text string) error {
	_, err := sd.SdNotify(false, "STATUS="+strings.ReplaceAll(text, "\n", " "))
	return err
}

// Reloading says that the config is being read again; Ready ends it.
func (Notifier) Reloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return err
	}
	// Type=notify-reload takes it for the answer to its signal by the time (sd_notify(3)).
	_, err := sd.SdNotify(false, fmt.Sprintf("%s\nMONOTONIC_USEC=%d", sd.SdNotifyReloading, now.Nano()/1000))
	return err
}

// Stopping says that the service ends.
func (Notifier) Stopping() error {
	_, err := sd.SdNotify(false, sd.SdNotifyStopping)
	return err
}

// Watch feeds systemd's watchdog (WatchdogSec=) while alive says so, until ctx is done. It returns at once where there is none.
func (Notifier) Watch(ctx context.Context, alive func() bool) error {
	every, err := sd.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return err
	}
	// Three times in its time: one that is late, or finds us busy, kills nothing.
	tick := time.NewTicker(max(every/3, time.Millisecond))
	defer tick.Stop()
	for {
		if alive() {
			if _, err := sd.SdNotify(false, sd.SdNotifyWatchdog); err != nil {
				return fmt.Errorf("the watchdog cannot be fed: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
