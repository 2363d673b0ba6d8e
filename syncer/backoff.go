package syncer

import (
	"math/rand/v2"
	"time"
)

const (
	// DefaultRetryMin is the wait after the first failure: long enough for a daemon that restarts.
	DefaultRetryMin = time.Second
	// DefaultRetryMax caps the wait: a target that is back is found within a minute.
	DefaultRetryMax = time.Minute
)

// backoff is how long to wait after the given number of failures in a row, from 1 on:
// doubling from DefaultRetryMin to DefaultRetryMax, less a random part of at most a
// quarter, so that many senders don't come back at once. random is in [0, 1).
func backoff(failures int, random float64) time.Duration {
	return backoffTo(DefaultRetryMax, failures, random)
}

// backoffTo is backoff with another cap.
func backoffTo(most time.Duration, failures int, random float64) time.Duration {
	d := most
	if shift := max(failures-1, 0); shift < 16 {
		d = min(most, DefaultRetryMin<<shift)
	}
	return d - time.Duration(random*float64(d)/4)
}

// retryAfter is backoff with real dice.
func retryAfter(failures int) time.Duration { return backoff(failures, rand.Float64()) }
