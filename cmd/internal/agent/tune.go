package agent

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/sysctl"
)

// tuner raises the kernel's inotify limits to what all sources of the process need.
type tuner struct {
	log *zap.Logger

	mu   sync.Mutex     // guards dirs, and that one raises them at a time
	dirs map[string]int // by root
}

func newTuner(log *zap.Logger) *tuner { return &tuner{log: log, dirs: map[string]int{}} }

// tune raises them to what root needs beside the others. What it may not raise it tells, with the lines that an
// operator can put into /etc/sysctl.d, and goes on.
func (t *tuner) tune(ctx context.Context, root string, excluded func(string, bool) bool) {
	start, log := time.Now(), t.log
	dirs, err := sysctl.CountDirectories(ctx, root, excluded)
	if err != nil {
		log.Warn("the directories below the root could not be counted", zap.Error(err))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dirs[root], dirs = dirs, 0
	for _, n := range t.dirs {
		dirs += n
	}
	limits, err := sysctl.Read("")
	if err != nil {
		log.Warn("the kernel's inotify limits are not known", zap.Error(err))
		return
	}
	mem, err := sysctl.MemTotal()
	if err != nil {
		log.Warn("the size of the memory is not known; limits stay as they are", zap.Error(err))
		return
	}
	advice := limits.Advise(sysctl.Need{Directories: dirs}, mem)
	log.Debug("kernel limits", zap.Int("directories", dirs), zap.Int("max_user_watches", limits.MaxUserWatches),
		zap.Int("max_queued_events", limits.MaxQueuedEvents), zap.Int("max_user_instances", limits.MaxUserInstances),
		zap.Duration("took", rounded(time.Since(start))))
	if advice.Empty() {
		return
	}
	applied, err := advice.Apply("")
	for _, c := range applied {
		log.Info("kernel limit raised", zap.String("key", c.Key), zap.Int("old", c.Old), zap.Int("new", c.New))
	}
	var failed *sysctl.ApplyError
	if !errors.As(err, &failed) {
		return
	}
	for _, f := range failed.Failures {
		log.Warn("kernel limit not raised; watching goes on with what there is", zap.String("key", f.Key),
			zap.Int("is", f.Old), zap.Int("wanted", f.New), zap.String("reason", f.Reason), zap.Error(f.Err))
	}
	log.Warn("to raise it, put these lines into "+sysctl.ConfFile+" on the host and run: sysctl --system",
		zap.Strings("lines", strings.Split(strings.TrimSpace(failed.Lines()), "\n")))
}

// maxQueue bounds what repeated overflows can make of the kernel's queue: 64 MB where it is full.
const maxQueue = 1 << 20

// growQueue doubles the length of the queues of inotify instances that are made from now on.
func growQueue() (string, error) {
	limits, err := sysctl.Read("")
	if err != nil || limits.MaxQueuedEvents >= maxQueue {
		return "", err
	}
	more := limits
	more.MaxQueuedEvents = min(2*limits.MaxQueuedEvents, maxQueue)
	applied, err := sysctl.Advice{Old: limits, New: more}.Apply("")
	if err != nil || len(applied) == 0 {
		return "", err
	}
	return applied[0].String(), nil
}
