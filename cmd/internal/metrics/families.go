package metrics

import "github.com/prometheus/client_golang/prometheus"

// family is a name with its help, kind and labels.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// families are all but the histograms.
var families []*family

func gauge(name, help string, labels ...string) *family {
	return define(name, help, prometheus.GaugeValue, labels)
}

func counter(name, help string, labels ...string) *family {
	return define(name, help, prometheus.CounterValue, labels)
}

func define(name, help string, kind prometheus.ValueType, labels []string) *family {
	f := &family{prometheus.NewDesc("lockstep_"+name, help, labels, nil), kind}
	families = append(families, f)
	return f
}

// Of the process.
var (
	buildInfo    = gauge("build_info", "The version that runs; always 1.", "version", "goversion")
	ready        = gauge("ready", "1 when each sync watches its source, or has said why it cannot.")
	configOK     = gauge("config_last_reload_successful", "0 while the config on the disk has errors, and what was read before holds.")
	configLoaded = gauge("config_loaded_timestamp_seconds", "When the config was last read with success.")
	watchLimit   = gauge("watch_limit", "How many inotify watches a user may have (fs.inotify.max_user_watches).")
)

// Of a sync.
var (
	syncWatching = gauge("watching", "1 when all of the source is watched.", "sync")
	syncError    = gauge("sync_error", "1 while a sync does not run: its source cannot be watched, say.", "sync")
	syncPaused   = gauge("paused", "1 while a sync is paused.", "sync")
	watches      = gauge("watches", "Watches in use: one for each directory with inotify, one mark with fanotify.", "sync", "backend")
	polled       = gauge("polled_subtrees", "Subtrees that cannot be watched, and are compared at intervals.", "sync")
	events       = counter("events_total", "Events that the kernel told.", "sync")
	overflows    = counter("overflows_total", "Times that the kernel's queue of events overflowed, and the tree was compared.", "sync")
	rebuilds     = counter("rebuilds_total", "Times that all watches were made anew.", "sync")
)

// Of a target.
var (
	state       = gauge("state", "1 for the state that a target is in, 0 for the others.", "sync", "target", "state")
	lag         = gauge("lag_seconds", "The age of the oldest change that is not on the target.", "sync", "target")
	dirty       = gauge("dirty_paths", "Paths to be pushed.", "sync", "target")
	inFlight    = gauge("in_flight_paths", "Paths that are being pushed.", "sync", "target")
	failedPaths = gauge("failed_paths", "Paths that could not be brought over, and are tried again.", "sync", "target")
	held        = gauge("held_deletions", "Deletions that wait for lockstep release, since --max-delete stands against them.", "sync", "target")
	lastSuccess = gauge("last_success_timestamp_seconds", "When a push last succeeded, or nothing was to be pushed.", "sync", "target")
	pushes      = counter("pushes_total", "Pushes that ended.", "sync", "target")
	failures    = counter("failures_total", "Pushes that failed, by the class of the failure.", "sync", "target", "class")
	retries     = counter("retried_paths_total", "Paths that were pushed again since they had failed.", "sync", "target")
	files       = counter("files_total", "Files that were sent.", "sync", "target")
	deleted     = counter("deleted_total", "Names that were deleted on the target.", "sync", "target")
	literal     = counter("literal_bytes_total", "Bytes of files that travelled.", "sync", "target")
	matched     = counter("matched_bytes_total", "Bytes of files that the target had already.", "sync", "target")
	sent        = counter("sent_bytes_total", "Bytes on the wire, in our direction.", "sync", "target")
)
