package syncer

import (
	"time"
)

const (
	// DefaultRetryMin is the wait after the first failure: long enough for a daemon that restarts.
	DefaultRetryMin = time.Second
	// DefaultRetryMax caps the wait: a target that is back is found within a minute.
	DefaultRetryMax = time.Minute
	// mendedMax caps it for what somebody has to mend: nothing changes there by itself.
	mendedMax = 5 * time.Minute
	// shellMax caps it for a remote shell that gets no connection: there is nothing to ask but the shell.
	shellMax = 15 * time.Second
)

// backoff is how long to wait after the given number of failures in a row, from 1 on:
// doubling from DefaultRetryMin to what the class allows, less a random part of at most a
// quarter, so that many senders don't come back at once. random is in [0, 1).
func backoff(c Class, failures int, random float64) time.Duration {
	if c == ClassTransient {
		return backoffUpTo(DefaultRetryMax, failures, random)
	}
	return backoffUpTo(mendedMax, failures, random)
}

func backoffUpTo(most time.Duration, failures int, random float64) time.Duration {
	d := most
	if shift := max(failures-1, 0); shift < 30 {
		d = min(DefaultRetryMin<<shift, most)
	}
	return d - time.Duration(random*float64(d)/4)
}
