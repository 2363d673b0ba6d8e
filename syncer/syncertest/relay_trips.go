package syncertest

// Round trips are counted without a clock: what a client says is one trip further than all that it
// was told before, and what it is told is as far as all that the target was told before. With a
// delay that is longer than either side takes to answer, that is the number of round trips that
// the client waited for.

// RoundTrips is how many round trips were completed on the newest connection.
func (r *Relay) RoundTrips() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.newest == nil {
		return 0
	}
	return r.newest.told
}

// HoldBeyond holds what a client says on its connection after n round trips, until it is called
// anew; 0 holds nothing.
func (r *Relay) HoldBeyond(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.beyond = n
	close(r.released)
	r.released = make(chan struct{})
}

// Holds says whether something is held by HoldBeyond.
func (r *Relay) Holds() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held > 0
}

// stamp is the trip that what was just read belongs to.
func (r *Relay) stamp(l *link, ln *lane) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ln == &r.up {
		return l.told + 1
	}
	return l.said
}

// pass lets a chunk go on, when it may; false means that the connection has ended.
func (r *Relay) pass(l *link, ln *lane, trip int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ln != &r.up {
		l.told = max(l.told, trip)
		return true
	}
	for r.beyond > 0 && trip > r.beyond {
		released := r.released
		r.held++
		r.mu.Unlock()
		ended := false
		select {
		case <-released:
		case <-l.done:
			ended = true
		}
		r.mu.Lock()
		r.held--
		if ended {
			return false
		}
	}
	l.said = max(l.said, trip)
	return true
}
