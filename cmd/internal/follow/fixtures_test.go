package follow

import (
	"fmt"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/syncer"
)

// noon is when the pictures are taken.
var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func agentOf(now time.Time, syncs ...api.Sync) api.Agent {
	for i := range syncs {
		for j := range syncs[i].Targets {
			syncs[i].Targets[j].Sync, syncs[i].Targets[j].Source = syncs[i].Name, syncs[i].Source
		}
	}
	return api.Agent{Version: "1.4.0", PID: 4211, Since: now.Add(-76 * time.Hour), Ready: true, Config: "/etc/lockstep/lockstep.yaml",
		Loaded: now.Add(-76 * time.Hour), Goroutines: 120, Descriptors: 44, Resident: 49 << 20, Syncs: syncs}
}

func targetOf(now time.Time, name string, n int64) api.Target {
	return api.Target{Target: name, State: api.StateInStep, Text: "everything is on the target", PID: 4211, Since: now.Add(-76 * time.Hour), Known: true,
		LastSuccess: now.Add(-time.Duration(n) * time.Second),
		Totals:      api.Totals{Pushes: 410 * n, Files: 1834 * n, LiteralBytes: n << 29, MatchedBytes: n << 33, SentBytes: n<<29 + n<<20, Deleted: 31 * n}}
}

func watchOf(n int64) api.Watch {
	return api.Watch{Ready: true, Backend: "inotify", Watches: n, Limit: 65536, Events: 91 * n}
}

// idle is an agent that has nothing to do.
func idle(now time.Time) api.Agent {
	return agentOf(now,
		api.Sync{Name: "web", Source: "/srv/www/", State: api.StateInStep, Watch: watchOf(1204), Targets: []api.Target{
			targetOf(now, "edge1.example.net::www", 2), targetOf(now, "edge2.example.net::www", 3), targetOf(now, "deploy@standby:/srv/www", 12)}},
		api.Sync{Name: "uploads", Source: "/srv/uploads/", State: api.StateInStep, Watch: api.Watch{Ready: true, Backend: "fanotify", Watches: 1}, Targets: []api.Target{
			targetOf(now, "backup.example.net::uploads", 340), targetOf(now, "/mnt/mirror/uploads", 341)}},
		api.Sync{Name: "/etc/", Source: "/etc/", State: api.StateInStep, Watch: watchOf(212), Targets: []api.Target{targetOf(now, "backup.example.net::etc", 86000)}})
}

// busyAgent has much on its way.
func busyAgent(now time.Time) api.Agent {
	a := idle(now)
	t := &a.Syncs[0].Targets[0]
	t.State, t.Text, t.Paths, t.InFlight, t.Lag, t.Oldest = api.StatePushing, "132 paths to be pushed, the oldest for 1.2s", 118, 14, 1.2, now.Add(-1200*time.Millisecond)
	t.Transfer = &api.Transfer{Since: now.Add(-2 * time.Second), Path: "assets/img/2026/03/hero-large@2x.webp", Size: 20 << 20, Sent: 13 << 20, Files: 9, Bytes: 31 << 20, Rate: 8.4 * (1 << 20), Left: 1}
	t = &a.Syncs[0].Targets[1]
	t.State, t.Text, t.Paths, t.Lag, t.Oldest = api.StatePushing, "40 paths to be pushed, the oldest for 0.2s", 40, 0.2, now.Add(-200*time.Millisecond)
	t.InFlight, t.Transfer = 40, &api.Transfer{Since: now.Add(-time.Second), Files: 31, Bytes: 812 << 10, Rate: 640 << 10}
	t = &a.Syncs[1].Targets[0]
	t.State, t.Text = api.StateVerifying, "in step as far as is known; being compared"
	t.Verify = &api.Verify{Began: now.Add(-90 * time.Second), Checksum: true, Names: 48_211, Mended: 2}
	t = &a.Syncs[1].Targets[1]
	t.State, t.Text, t.Paths, t.InFlight, t.Lag = api.StatePushing, "1 path to be pushed, the oldest for 41s", 0, 1, 41
	t.Transfer = &api.Transfer{Since: now.Add(-41 * time.Second), Path: "video/raw/2026-03-14 keynote (uncut).mov", Size: 48 << 30, Sent: 11 << 30, Bytes: 11 << 30, Rate: 270 << 20, Left: 140}
	t = &a.Syncs[2].Targets[0]
	t.State, t.Text, t.LastSuccess, t.Totals = api.StateStarting, "the first push is not done", time.Time{}, api.Totals{}
	return a
}

// brokenAgent has one of each trouble.
func brokenAgent(now time.Time) api.Agent {
	a := busyAgent(now)
	a.LoadError = `/etc/lockstep/lockstep.yaml:14:3: unknown key "deleet"; did you mean "delete"?`
	w := &a.Syncs[0]
	w.State, w.Watch.Watches, w.Watch.Overflows = api.StateRetrying, 61_203, 2
	w.Targets[1].Transfer = nil
	w.Targets[1].State, w.Targets[1].Text, w.Targets[1].Paths, w.Targets[1].InFlight, w.Targets[1].Lag = api.StateRetrying, "connection refused (socket)", 12_407, 0, 192
	w.Targets[1].Error = &api.Error{Class: "socket", Text: "connect to edge2.example.net port 873: connection refused", Remedy: "start the daemon there, or mend the port: systemctl status rsync on edge2.example.net tells whether it runs", Since: now.Add(-192 * time.Second), Tries: 7, Next: now.Add(11500 * time.Millisecond)}
	w.Targets[1].Totals.Failures, w.Targets[1].Totals.ByClass, w.Targets[1].Totals.Retries = 9, map[string]int64{"socket": 7, "timeout": 2}, 4
	h := &w.Targets[2]
	h.State, h.Text = api.StateHeld, "2 deletions wait for lockstep release"
	h.Held = []api.Held{{Path: "releases/2025", Names: 12_004, Since: now.Add(-8 * time.Minute)}, {Path: "cache\x1b[2J", Names: 1, Since: now.Add(-7 * time.Minute)}}
	u := &a.Syncs[1].Targets[0]
	u.State, u.Text = api.StatePartial, "2 paths could not be brought over"
	u.Failed = []syncer.Failed{
		{Path: "2026/\u65e5\u672c\u8a9e.png", Paths: 1, Reason: "permission denied", Count: 3, First: now.Add(-time.Hour), Next: now.Add(4 * time.Minute)},
		{Path: "old\xff/\x1b[31mname", Tree: true, Paths: 41, Reason: "no space left on the target", Count: 12, First: now.Add(-3 * time.Hour), Next: now.Add(30 * time.Second)},
	}
	a.Syncs[2].Paused = true
	a.Syncs[2].Targets[0].State, a.Syncs[2].Targets[0].Text = api.StatePaused, "lockstep resume ends it"
	a.Syncs = append(a.Syncs, api.Sync{Name: "mail", Source: "/var/mail/", State: api.StateRetrying, Error: "/var/mail is not mounted: nothing is pushed or deleted; it is looked for each second"})
	return a
}

// many has 50 syncs with three targets each.
func many(now time.Time) api.Agent {
	var syncs []api.Sync
	for i := range 50 {
		s := api.Sync{Name: fmt.Sprintf("site%02d", i), Source: fmt.Sprintf("/srv/sites/site%02d/", i), State: api.StateInStep, Watch: watchOf(int64(100 + 7*i))}
		for j := range 3 {
			t := targetOf(now, fmt.Sprintf("edge%d.example.net::site%02d", j+1, i), int64(i+j+1))
			if j == 2 && i%5 == 4 {
				t.State, t.Text, t.Paths, t.Lag = api.StateRetrying, "no route to host (socket)", 10*i, float64(60*i)
				t.Error = &api.Error{Class: "socket", Text: fmt.Sprintf("connect to edge3.example.net port 873 for site%02d: no route to host", i), Remedy: "look at the network between here and edge3.example.net", Since: now.Add(-time.Duration(i) * time.Minute), Tries: i, Next: now.Add(time.Duration(i) * time.Second)}
			}
			s.Targets = append(s.Targets, t)
		}
		syncs = append(syncs, s)
	}
	return agentOf(now, syncs...)
}
