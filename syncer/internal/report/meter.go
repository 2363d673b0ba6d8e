package report

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Meter is how far a push is, for who looks at it while it runs. Files are told to it as they begin and end, and their
// bytes are counted without a lock: where nobody looks it costs next to nothing. The methods of a nil Meter do
// nothing. All are safe for concurrent use.
type Meter struct {
	bytes atomic.Int64

	mu      sync.Mutex // guards what follows; held for moments
	since   time.Time
	files   int64
	flights []*Flight // of files that are being sent now
}

// Flight is a file on its way. The methods of a nil Flight do nothing.
type Flight struct {
	meter *Meter
	name  string
	size  int64
	since time.Time
	done  atomic.Int64
}

// Metered is what a Meter shows.
type Metered struct {
	Since time.Time     // when the push began; zero: there was none
	Files int64         // sent so far
	Bytes int64         // of files, sent or found on the target, so far
	Path  string        // the file that has most before it; "" if none is on its way
	Size  int64         // of that file
	Sent  int64         // of that file so far
	Took  time.Duration // for that file so far
}

// Restart begins a push.
func (m *Meter) Restart() {
	if m == nil {
		return
	}
	m.bytes.Store(0)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.since, m.files, m.flights = time.Now(), 0, nil
}

// Begin begins a file.
func (m *Meter) Begin(name string, size int64) *Flight {
	if m == nil {
		return nil
	}
	f := &Flight{meter: m, name: name, size: size, since: time.Now()}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flights = append(m.flights, f)
	return f
}

// Reach says how many bytes of it are done.
func (f *Flight) Reach(done int64) {
	if f != nil {
		f.meter.bytes.Add(done - f.done.Swap(done))
	}
}

// Advance says that n more are.
func (f *Flight) Advance(n int64) {
	if f != nil {
		f.done.Add(n)
		f.meter.bytes.Add(n)
	}
}

// End says that the file is done with.
func (f *Flight) End() {
	if f == nil {
		return
	}
	m := f.meter
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(m.flights, f); i >= 0 {
		m.flights = slices.Delete(m.flights, i, i+1)
		m.files++
	}
}

// Look tells how far it is.
func (m *Meter) Look() (s Metered) {
	if m == nil {
		return s
	}
	s.Bytes = m.bytes.Load()
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Since, s.Files = m.since, m.files
	left := int64(-1)
	for _, f := range m.flights {
		if done := f.done.Load(); f.size-done > left {
			left = f.size - done
			s.Path, s.Size, s.Sent, s.Took = f.name, f.size, done, time.Since(f.since)
		}
	}
	return s
}
