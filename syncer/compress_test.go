package syncer_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// prose is n bytes that compress well, and differ from one seed to the next.
func prose(seed uint64, n int) string {
	rng := rand.New(rand.NewPCG(seed, 2))
	words := strings.Fields("in real time one way replication of a directory tree to another machine speaks the protocol itself")
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "%s %d ", words[rng.IntN(len(words))], rng.IntN(1000))
	}
	return b.String()[:n]
}

// compressible fills dir with what the compressors see: text and noise, empty, small and big files,
// and a few that are compressed already by their names.
func compressible(t *testing.T, dir string, seed uint64) {
	t.Helper()
	for i := range 60 {
		write(t, fmt.Sprintf("%s/many/%d", dir, i), prose(seed+uint64(i), i*37))
	}
	for i, n := range []int{0, 1, 16383, 16384, 32768, 65535, 65536, 300_000} {
		write(t, fmt.Sprintf("%s/text %d", dir, n), prose(uint64(i), n))
		write(t, fmt.Sprintf("%s/noise %d", dir, n), noise(uint64(i), n))
		write(t, fmt.Sprintf("%s/noise %d.jpg", dir, n), noise(seed+uint64(i), n))
	}
	write(t, dir+"/text.gz", prose(seed, 200_000))
	write(t, dir+"/big", prose(1, 1_500_000)+noise(1, 1_000_000))
}

// edited is a file with insertions, deletions, moved parts and repetitions of what it has: literals of
// all lengths between blocks that match.
func edited(content string) string {
	var b strings.Builder
	for i := 0; i < len(content); i += 50_000 {
		part := content[i:min(i+50_000, len(content))]
		if i/50_000%3 == 1 {
			b.WriteString(part[len(part)/2:] + "inserted" + part[:len(part)/2])
		} else {
			b.WriteString(part)
		}
		b.WriteString(content[i/2:][:i%977])
	}
	return b.String()
}

type compression struct {
	choice string
	level  int
	given  bool
}

func (c compression) set(cfg *syncer.Config) {
	cfg.Compress = true
	cfg.CompressChoice, cfg.CompressLevel, cfg.LevelGiven = c.choice, c.level, c.given
}

func compressions() map[string]compression {
	return map[string]compression{
		"negotiated": {}, "negotiated, level 1": {level: 1, given: true}, "negotiated, level 0": {level: 0, given: true},
		"zstd": {choice: "zstd"}, "zstd, level 19": {choice: "zstd", level: 19, given: true}, "zstd, level -5": {choice: "zstd", level: -5, given: true},
		"lz4":  {choice: "lz4"},
		"zlib": {choice: "zlib"}, "zlib, level 1": {choice: "zlib", level: 1, given: true}, "zlib, level 9": {choice: "zlib", level: 9, given: true},
		"zlib, level 0": {choice: "zlib", level: 0, given: true},
		"zlibx":         {choice: "zlibx"}, "zlibx, level 9": {choice: "ZLIBX", level: 9, given: true},
		"none": {choice: "none"},
	}
}

// The real daemon understands every compression at every protocol, of new files and of changed ones,
// and what arrives is right the first time.
func TestInteropCompress(t *testing.T) {
	for _, protocol := range []int{30, 31, 32} {
		for name, c := range compressions() {
			if c.given && protocol != 31 {
				continue // a level is the sender's affair
			}
			if syncertest.UnderRace && (c.given || protocol != 31) {
				continue // the goroutines are the same at every level
			}
			t.Run(fmt.Sprintf("protocol %d/%s", protocol, name), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				compressible(t, r.src, 100)
				cfg := r.config()
				cfg.Protocol = protocol
				c.set(&cfg)
				at := time.Unix(1_600_000_000, 0)
				push := func() syncer.Report {
					t.Helper()
					at = at.Add(time.Hour)
					touchAll(t, r.src, at) // whole seconds: protocol 30 has no others
					rep := r.mustPush(cfg)
					if len(r.messages) > 0 { // that a file did not verify, and is sent again
						t.Fatalf("messages %q", r.messages)
					}
					r.equal()
					return rep
				}
				full := push()
				off := c.choice == "none" || c.choice == "zlib" && c.given && c.level == 0
				if full.Stats.Sent >= full.Stats.Literal != off {
					t.Errorf("%d bytes were sent for %d bytes of data", full.Stats.Sent, full.Stats.Literal)
				}
				for _, name := range []string{"big", "text 300000", "noise 300000", "noise 300000.jpg", "text.gz"} {
					write(t, r.in(name), edited(read(t, r.in(name))))
				}
				cfg.BlockSize = 1000
				if changed := push(); changed.Stats.Matched < changed.Stats.TransferredSize/2 || changed.Stats.Literal == 0 {
					t.Errorf("delta of %d bytes: %d matched, %d literal", changed.Stats.TransferredSize, changed.Stats.Matched, changed.Stats.Literal)
				}
				// Blocks longer than a stored block of deflate can be.
				write(t, r.in("big"), edited(prose(2, 100_000)+read(t, r.in("big"))))
				cfg.BlockSize = 1 << 17
				push()
			})
		}
	}
}

// The statistics tell what went over the wire.
func TestInteropCompressStats(t *testing.T) {
	r := newRig(t)
	relay := syncertest.StartRelay(t, r.daemon.Addr())
	compressible(t, r.src, 200)
	for _, choice := range []string{"", "none", "zstd", "lz4", "zlibx", "zlib"} {
		remove(t, r.dst)
		mkdir(t, r.dst)
		cfg := r.config()
		pointAt(t, &cfg, relay.Addr())
		cfg.Compress, cfg.CompressChoice = true, choice
		before := relay.Sent() + relay.Received()
		rep := r.mustPush(cfg)
		if got := relay.Sent() + relay.Received() - before; got != rep.Stats.Sent+rep.Stats.Received {
			t.Errorf("choice %q: %d bytes on the wire, the statistics say %d", choice, got, rep.Stats.Sent+rep.Stats.Received)
		}
		r.equal()
	}
}

// Files whose names say that they are compressed travel as they are, by rsync's list or by ours.
func TestInteropSkipCompress(t *testing.T) {
	r := newRig(t)
	const size = 500_000
	for _, choice := range []string{"", "lz4", "zlibx", "zlib"} {
		for name, want := range map[string]bool{"a.gz": true, "a.txt": false} { // stored by default
			for _, given := range []bool{false, true} {
				remove(t, r.src, r.dst)
				mkdir(t, r.dst)
				write(t, r.in(name), prose(1, size))
				cfg := r.config()
				cfg.Compress, cfg.CompressChoice = true, choice
				if given {
					cfg.SkipGiven, cfg.SkipCompress = true, "x/t[x]t"
				}
				rep := r.mustPush(cfg)
				if stored := rep.Stats.Sent > size; stored != (want != given) {
					t.Errorf("choice %q, %s, own list: %v: %d of %d bytes were sent", choice, name, given, rep.Stats.Sent, size)
				}
				r.equal()
			}
		}
	}
}

// A daemon's "dont compress" is about what it sends: the real client does not heed it when it
// pushes, and cannot know it.
func TestInteropDontCompress(t *testing.T) {
	r := newRig(t, func(c *syncertest.DaemonConfig) { c.Modules[0].Extra = []string{"dont compress = *"} })
	const size = 500_000
	write(t, r.in("a"), prose(1, size))
	out, _ := r.rsync("-az", "--stats", "--no-human-readable", r.src+"/", r.daemon.URL("m"))
	var theirs int64
	for line := range strings.Lines(out) {
		fmt.Sscanf(line, "Total bytes sent: %d", &theirs)
	}
	if theirs == 0 || theirs > size/2 {
		t.Fatalf("rsync sent %d bytes:\n%s", theirs, out)
	}
	remove(t, r.dst)
	mkdir(t, r.dst)
	cfg := r.config()
	cfg.Compress = true
	if rep := r.mustPush(cfg); rep.Stats.Sent > size/2 {
		t.Errorf("%d of %d bytes were sent", rep.Stats.Sent, size)
	}
}

// What cannot be agreed on ends with rsync's exit code for it, and says why.
func TestInteropCompressRefused(t *testing.T) {
	r := newRig(t, func(c *syncertest.DaemonConfig) {
		c.Modules[0].Extra = []string{"refuse options = compress"}
	})
	write(t, r.in("a"), "x")
	for _, choice := range []string{"", "zstd", "zlib", "zlibx", "lz4"} {
		cfg := r.config()
		cfg.Compress, cfg.CompressChoice = true, choice
		rep, err := r.push(cfg)
		said := strings.Join(r.messages, "\n")
		if code := syncer.ExitCode(rep, err); code != syncer.CodeUnsupported || !strings.Contains(said, "compress") {
			t.Errorf("choice %q: exit code %d, error %v, messages %q", choice, code, err, said)
		}
	}
	cfg := r.config()
	cfg.CompressChoice = "brotli"
	rep, err := r.push(cfg)
	if code := syncer.ExitCode(rep, err); code != syncer.CodeUnsupported || err == nil || !strings.Contains(err.Error(), "brotli") {
		t.Errorf("brotli: exit code %d, error %v", code, err)
	}
}

// A peer whose list has nothing that we know.
func TestCompressNothingInCommon(t *testing.T) {
	addr := peer(t, func(c net.Conn) {
		vstring := func(s string) string { return string(rune(len(s))) + s }
		fmt.Fprintf(c, "@RSYNCD: 32.0 md5\n@RSYNCD: OK\n\x81\xfe%s%s", vstring("xxh128 md5"), vstring("brotli snappy"))
		buf := make([]byte, 1<<10)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	})
	r := newRig(t)
	cfg := r.config()
	pointAt(t, &cfg, addr)
	cfg.Compress = true
	rep, err := r.push(cfg)
	if code := syncer.ExitCode(rep, err); code != syncer.CodeUnsupported || err == nil || !strings.Contains(err.Error(), "brotli snappy") {
		t.Errorf("exit code %d, error %v", code, err)
	}
}

// The daemon's own choice decides, whichever of the kinds it leaves.
func TestInteropCompressNegotiation(t *testing.T) {
	for _, list := range []string{"zlib", "zlibx", "lz4 zlib", "zstd"} {
		t.Run(list, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *syncertest.DaemonConfig) { c.Env = []string{"RSYNC_COMPRESS_LIST=" + list} })
			compressible(t, r.src, 300)
			cfg := r.config()
			cfg.Compress = true
			if rep := r.mustPush(cfg); rep.Stats.Sent >= rep.Stats.Literal {
				t.Errorf("%d bytes were sent for %d", rep.Stats.Sent, rep.Stats.Literal)
			}
			r.equal()
			// A choice that the daemon's list does not have ends as with the real client.
			_, code := r.rsync("-a", "--compress-choice=lz4", r.src+"/", r.daemon.URL("m"))
			cfg.CompressChoice = "lz4"
			rep, err := r.push(cfg)
			if got := int(syncer.ExitCode(rep, err)); got != code {
				t.Errorf("lz4: exit code %d, rsync's is %d, error %v, messages %q", got, code, err, r.messages)
			}
		})
	}
}
