package control

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/syncer"
)

var pictures = flag.String("page.pictures", "", "a directory where TestPage leaves pictures of the page")

// TestPagePolicy has the policy allow what stands in the page, by its hash, and nothing that is written into attributes.
func TestPagePolicy(t *testing.T) {
	for _, element := range []string{"style", "script"} {
		if n := bytes.Count(page, []byte("<"+element)); n != 1 {
			t.Errorf("there are %d elements %s, one has its hash in the policy", n, element)
		}
	}
	for _, no := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=", "onclick=", "http://", "https://"} {
		if bytes.Contains(page, []byte(no)) {
			t.Errorf("the page has %q", no)
		}
	}
	r := httptest.NewRecorder()
	Handler(&fake{}, nil).ServeHTTP(r, httptest.NewRequest("GET", "/", nil))
	if policy := r.Header().Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || strings.Count(policy, "'sha256-") != 2 {
		t.Errorf("the policy is %q", policy)
	}
}

// hostile is a name that would do something where it became HTML.
const hostile = `"><img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`

// TestPage looks at the page in a browser.
func TestPage(t *testing.T) {
	t.Parallel()
	f := &fake{agent: busyAgent()}
	at := remote(t, f, RemoteOptions{Listen: "127.0.0.1:0"})
	b := browse(t)
	b.do(chromedp.EmulateViewport(1100, 800), chromedp.Navigate("http://"+at.String()+"/"))

	b.until("the first status is there", `document.querySelectorAll("[data-target]").length === 3`)
	b.until("it is live", `document.getElementById("live").textContent === "● live"`)
	b.until("a state is a word", `document.querySelector("[data-target='/mnt/mirror/'] .badge").textContent === "✓ in-step"`)
	b.until("what is on its way is shown", `document.querySelector("[data-target='backuper@host::wwwroot'] progress").value > 0`)
	b.picture("busy")

	// It changes while it is looked at.
	f.set(func(a *api.Agent) { *a = brokenAgent() })
	b.until("what broke is told", `document.querySelector("[data-target='backuper@host::wwwroot'] .remedy").textContent.includes("start the daemon")`)
	b.until("the title tells it", `document.title.includes("1 retrying")`)
	b.until("a hostile name is text", `document.body.textContent.includes("<img src=x")`)
	b.until("and nothing else", `document.title !== "owned" && document.querySelector("img, main script") === null`)
	b.picture("broken")

	const release = `[...document.querySelectorAll("button")].find(b => b.textContent === "Release" && b.offsetParent)`
	press := func(button string) { b.do(chromedp.Evaluate[chromedp.Void](button + `.click()`)) }
	press(release)
	b.until("it asks once more", `[...document.querySelectorAll("button")].some(b => b.textContent === "Really delete them?")`)
	if told := f.told(); len(told) > 0 {
		t.Errorf("one press did %q", told)
	}
	press(`[...document.querySelectorAll("button")].find(b => b.textContent === "Really delete them?")`)
	b.told(f, fmt.Sprintf("release %q %q", hostile, hostile))
	press(`document.querySelector(".actions button")`)
	b.told(f, `pause "www"`)
	f.set(func(a *api.Agent) { a.Syncs[0].Paused = true })
	b.until("a paused sync can be resumed", `document.querySelector(".actions button").textContent === "Resume"`)
	press(`document.querySelector(".actions button")`)
	b.told(f, `resume "www"`)
	press(`document.querySelectorAll(".actions button")[1]`)
	b.told(f, `resync "www" "" "" false`)
	b.until("what was done is told", `document.getElementById("notes").textContent.includes("✓ resync: done")`)
	f.mu.Lock()
	f.err = errors.New("that cannot be done: <b>now</b>")
	f.mu.Unlock()
	press(`document.querySelector(".actions button")`)
	b.until("what failed is told", `document.getElementById("notes").textContent.includes("<b>now</b>")`)

	b.do(chromedp.EmulateViewport(390, 800, chromedp.EmulateMobile))
	b.until("nothing is wider than a phone", `document.documentElement.scrollWidth <= 390`)
	b.picture("phone")
	b.do(chromedp.EmulateViewport(1100, 800))

	many := large(150).agent
	many.Syncs[40].Targets[1].State = api.StateRetrying
	f.set(func(a *api.Agent) { *a = many })
	b.until("150 targets are shown, the others gone", `document.querySelectorAll("[data-target]").length === 150`)
	press(`document.querySelector("#counts button")`) // the worst comes first
	b.until("those of a state are shown alone", `[...document.querySelectorAll("[data-target]")].filter(e => e.offsetParent).length === 1`)
	press(`document.querySelector("#counts button")`)
	b.picture("many")
	f.set(func(a *api.Agent) { *a = api.Agent{Version: "1.0", PID: 7, Ready: true} })
	b.until("no sync is told", `document.getElementById("notes").textContent.includes("There is no sync.")`)
}

// browser is a page in a headless chromium.
type browser struct {
	t   *testing.T
	ctx context.Context
}

func browse(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed (.ci/deps)")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WSURLReadTimeout(time.Minute))
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("end the browser: %v", err)
		}
		cancel()
		end()
	})
	b := &browser{t, ctx}
	b.do()
	return b
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// until waits for an expression to be true.
func (b *browser) until(what, expression string) {
	b.t.Helper()
	for late := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if ask[bool](b, `(() => { try { return !!(`+expression+`) } catch (e) { return false } })()`) {
			return
		}
		if time.Now().After(late) {
			b.t.Fatalf("not so: %s; the page says:\n%s", what, ask[string](b, `document.title + "\n" + document.body.innerText`))
		}
	}
}

// ask evaluates an expression in the page.
func ask[T any](b *browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// told waits for the service to be told something.
func (b *browser) told(f *fake, what string) {
	b.t.Helper()
	waitFor(b.t, "it was told "+what, func() bool { return slices.Contains(f.told(), what) })
}

// picture leaves the page as a picture, light and dark, where it was asked for.
func (b *browser) picture(name string) {
	b.t.Helper()
	if *pictures == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*pictures, name+".png"), png, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func busyAgent() api.Agent {
	now := time.Now()
	www := api.Sync{Name: "www", Source: "/srv/www/", State: api.StatePushing, Text: "12 paths to be pushed", Watch: api.Watch{Ready: true, Backend: "inotify", Watches: 12345, Limit: 1048576}}
	www.Targets = []api.Target{
		{Sync: "www", Source: "/srv/www/", Target: "backuper@host::wwwroot", State: api.StatePushing, Text: "13 paths to be pushed, the oldest for 1.2s", Paths: 12, InFlight: 1, Oldest: now.Add(-1200 * time.Millisecond), Lag: 1.2, LastSuccess: now.Add(-2 * time.Second),
			Transfer: &api.Transfer{Since: now, Path: "video/2024/concert in the park.mkv", Size: 4 << 30, Sent: 3 << 30, Rate: 117 << 20, Left: 9}},
		{Sync: "www", Source: "/srv/www/", Target: "/mnt/mirror/", State: api.StateInStep, Text: "everything is on the target", LastSuccess: now.Add(-time.Second)},
	}
	mail := api.Sync{Name: "mail", Source: "/var/mail/", State: api.StateVerifying, Text: "in step as far as is known; being compared", Watch: api.Watch{Ready: true, Backend: "fanotify", Watches: 1}}
	mail.Targets = []api.Target{{Sync: "mail", Source: "/var/mail/", Target: "root@backup:/srv/mail/", State: api.StateVerifying, Text: "in step as far as is known; being compared", LastSuccess: now.Add(-3 * time.Hour)}}
	return api.Agent{Version: "1.0.0", PID: 4711, Since: now.Add(-time.Hour), Ready: true, Config: "/etc/lockstep/lockstep.yaml", Loaded: now, Syncs: []api.Sync{www, mail}}
}

func brokenAgent() api.Agent {
	a := busyAgent()
	now := time.Now()
	a.LoadError = "/etc/lockstep/lockstep.yaml:12:5: unknown key \"exlude\": did you mean \"exclude\"?"
	t := &a.Syncs[0].Targets[0]
	a.Syncs[0].State, t.State = api.StateRetrying, api.StateRetrying
	t.Text, t.Transfer, t.InFlight, t.Oldest = "connect to host:873: connection refused (network)", nil, 0, now.Add(-7*time.Minute)
	t.Error = &api.Error{Class: "network", Text: "connection refused", Remedy: "start the daemon on host, or see that a firewall lets port 873 through", Since: now.Add(-7 * time.Minute), Tries: 14, Next: now.Add(31 * time.Second)}
	p := &a.Syncs[0].Targets[1]
	p.State, p.Text = api.StatePartial, "7 paths could not be brought over"
	for i := range 7 {
		p.Failed = append(p.Failed, syncer.Failed{Path: fmt.Sprintf("upload/%d/file with a long name.bin", i), Paths: 1, Reason: "open: permission denied", Count: 3, First: now, Last: now, Next: now})
	}
	a.Syncs[1].Error, a.Syncs[1].Watch.Overflows = "the source /var/mail/ is not there: mount it, or correct the config", 3
	h := api.Sync{Name: hostile, Source: "/srv/" + hostile, State: api.StateHeld, Text: "deletions wait", Watch: api.Watch{Ready: true, Backend: "inotify", Watches: 3, Polled: 1}}
	h.Targets = []api.Target{{Sync: hostile, Source: h.Source, Target: hostile, State: api.StateHeld, Text: hostile, LastSuccess: now.Add(-time.Minute),
		Held: []api.Held{{Path: hostile, Names: 1234, Since: now}, {Path: "bytes\xff", Since: now}}}}
	a.Syncs = append(a.Syncs, h)
	return a
}
