package logs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"go.uber.org/zap/zapcore"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// Levels are the values of --log-level.
func Levels() []string { return []string{"debug", "info", "warn", "error"} }

// Components are the names that a level can be set for. The loggers of the program have them (zap.Logger.Named).
func Components() []string { return []string{"agent", "control", "hooks", "push", "watcher"} }

func parseLevel(text string) (zapcore.Level, error) {
	level, err := zapcore.ParseLevel(text)
	if err != nil || !slices.Contains(Levels(), text) {
		return 0, fmt.Errorf("%w level %q: it is debug, info, warn or error", api.ErrUnknown, text)
	}
	return level, nil
}

// levels say from which level on there is a log.
type levels struct {
	all  zapcore.Level
	some map[string]zapcore.Level // of components; not changed once it is here
}

// of is the level of a logger. A name has elements, as agent.push: the last one that has a level counts.
func (l *levels) of(name string) zapcore.Level {
	for name != "" && len(l.some) > 0 {
		i := strings.LastIndexByte(name, '.')
		if level, ok := l.some[name[i+1:]]; ok {
			return level
		}
		name = name[:max(i, 0)]
	}
	return l.all
}

// least is the lowest of all.
func (l *levels) least() zapcore.Level {
	least := l.all
	for _, level := range l.some {
		least = min(least, level)
	}
	return least
}

// SetLevel sets the level of a component; "" is all of them. Level "" changes nothing. It returns what holds now, by
// component; "" is what has no level of its own. api.ErrUnknown: there is no such component or level.
func (l *Logs) SetLevel(component, level string) (map[string]string, error) {
	if component != "" && !slices.Contains(Components(), component) {
		return nil, fmt.Errorf("%w component %q: there are %s", api.ErrUnknown, component, strings.Join(Components(), ", "))
	}
	if level != "" {
		to, err := parseLevel(level)
		if err != nil {
			return nil, err
		}
		l.setLevel(component, to)
	}
	now := l.levels.Load()
	holds := map[string]string{"": now.all.String()}
	for _, c := range Components() {
		holds[c] = now.of(c).String()
	}
	return holds, nil
}

func (l *Logs) setLevel(component string, to zapcore.Level) {
	for {
		was := l.levels.Load()
		next := &levels{all: to}
		if component != "" {
			next.all, next.some = was.all, maps.Clone(was.some)
			if next.some == nil {
				next.some = map[string]zapcore.Level{}
			}
			next.some[component] = to
		}
		if l.levels.CompareAndSwap(was, next) {
			return
		}
	}
}

// leveled lets through what the levels say.
type leveled struct {
	zapcore.Core
	levels *atomic.Pointer[levels]
}

// Enabled says whether any component logs at a level: whose entry it is, is not known here.
func (c leveled) Enabled(level zapcore.Level) bool { return level >= c.levels.Load().least() }

func (c leveled) With(fields []zapcore.Field) zapcore.Core {
	return leveled{c.Core.With(fields), c.levels}
}

func (c leveled) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if e.Level < c.levels.Load().of(e.LoggerName) {
		return ce
	}
	return c.Core.Check(e, ce)
}
