package sender_test

import (
	"bytes"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// fuzzSize is how long each file is that a fuzzed peer may ask for.
const fuzzSize = 3000

// endure runs a push whose peer says anything and then falls silent, in fake time. The push ends
// with a code that rsync(1) lists, and sends no more than each file twice.
func endure(t *testing.T, says []byte, src sender.Source, protocol int) {
	endureWith(t, says, src, protocol, hostileOptions(), hostileJob())
}

func endureWith(t *testing.T, says []byte, src sender.Source, protocol int, o sender.Options, j *sender.Job) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := newDuplex()
		var wg sync.WaitGroup
		sent := int64(0)
		wg.Go(func() { sent, _ = io.Copy(io.Discard, theirs) })
		wg.Go(func() { theirs.Write(says) })
		o.Checksums, o.Protocol, o.Timeout = nil, protocol, 10*time.Second
		o.Sink.Item = func(it report.Item) { _ = it.String() }
		res, err := sender.Push(t.Context(), ours, o, &sender.Module{Name: "m"}, j, src)
		ours.Close()
		theirs.Close()
		wg.Wait()
		known := []report.Code{
			report.CodeOK, report.CodeProtocol, report.CodeUnsupported, report.CodeStart, report.CodeStream,
			report.CodePartial, report.CodeTimeout,
		}
		if code := codeOf(res, err); !slices.Contains(known, code) && !bytes.Contains(says, []byte{byte(wire.TagErrorExit + 7)}) {
			t.Errorf("exit code %d: %v", code, err)
		}
		if res.Stats.Literal > 6*fuzzSize || sent > 8*fuzzSize+int64(8*len(says))+10_000 {
			t.Errorf("%d literal bytes, %d bytes sent for %d bytes heard", res.Stats.Literal, sent, len(says))
		}
	})
}

// FuzzDaemon: everything that a daemon says, from its greeting on.
func FuzzDaemon(f *testing.F) {
	all, err := filepath.Glob(filepath.Join("testdata", "transcript", "*.txt"))
	if err != nil || len(all) == 0 {
		f.Fatalf("no transcripts: %v", err)
	}
	for _, name := range all {
		_, server := load(f, name)
		f.Add(server, byte(2))
	}
	f.Add(goodPeer(), byte(2))
	f.Add([]byte("@RSYNCD: 30.0\nhello\n\n@RSYNCD: AUTHREQD xyz\n@RSYNCD: OK\n\x0e\x00\x00\x00\x00"), byte(0))
	f.Add([]byte("@RSYNCD: 31.14 md5\n@ERROR: access denied\n"), byte(1))
	f.Add([]byte("@ERROR: no\n"), byte(1))
	src := hostileSource(f, fuzzSize)
	f.Fuzz(func(t *testing.T, says []byte, protocol byte) {
		endure(t, says, src, 30+int(protocol%3))
	})
}

// FuzzServe: what a generator says, within well-formed frames.
func FuzzServe(f *testing.F) {
	good := goodPeer()[len(opened().b):]
	var requests []byte
	for _, s := range frames(good, false) {
		if s.tag == wire.TagData {
			requests = append(requests, s.data[4:]...)
		}
	}
	f.Add(requests, byte(0), []byte("text\n"))
	f.Add(requests, byte(wire.TagErrorXfer), []byte("text\n"))
	f.Add(requests, byte(wire.TagDeleted), []byte("dir\x00"))
	f.Add(requests, byte(wire.TagIOError), []byte{4, 0, 0, 0})
	f.Add(requests, byte(wire.TagIOTimeout), []byte{3, 0, 0, 0})
	src := hostileSource(f, fuzzSize)
	f.Fuzz(func(t *testing.T, requests []byte, tag byte, text []byte) {
		if wire.Tag(tag) == wire.TagErrorExit {
			return
		}
		p := opened().frame(wire.Tag(tag), string(text))
		for part := range slices.Chunk(requests, 7) {
			p.data(part)
		}
		endure(t, p.b, src, 32)
	})
}

// FuzzServeMeta: what a generator says where extended attributes, ACLs and hard links are kept, and
// files appended to.
func FuzzServeMeta(f *testing.F) {
	ask := wire.AppendShort([]byte{2}, report.ReportXattr|report.Transfer)
	for _, s := range []string{"", "\x02\x00", "\x02\x02\x00", "\x04\xf0\xfe\xff\xff\xff\x00", "\x05\x00"} {
		head := []byte{1, 0, 0, 0, 0xbc, 2, 0, 0, 2, 0, 0, 0, 30, 0, 0, 0}
		f.Add(slices.Concat(ask, []byte(s), head, make([]byte, 5)), true)
		f.Add(slices.Concat(ask, []byte(s), head, make([]byte, 6), make([]byte, 5)), false)
	}
	src := hostileSource(f, fuzzSize)
	f.Fuzz(func(t *testing.T, requests []byte, appends bool) {
		p := opened()
		for part := range slices.Chunk(requests, 7) {
			p.data(part)
		}
		o := metaOptions()
		o.Append, o.Inplace = appends, appends
		endureWith(t, p.b, src, 32, o, metaJob())
	})
}
