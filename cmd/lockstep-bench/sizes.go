package main

import "time"

// sizes is how much is measured.
type sizes struct {
	Short         bool
	LatencyTrees  []int // files
	Samples       int   // changes timed per tree and target
	Pause         time.Duration
	BurstFiles    int
	BurstDirs     int
	BurstRuns     int
	DeltaSize     int64
	DeltaPairs    int
	DataPairs     int
	TextSize      int64
	FirstFiles    int
	FirstPairs    int
	NothingPairs  int
	MoveFiles     int
	MoveSize      int64
	SmallFiles    int
	SmallPairs    int
	ManyFiles     int
	ManyPairs     int
	StartDirs     int
	StartRuns     int
	EventWork     []string // what the writers do
	EventTime     time.Duration
	EventQueue    int // fs.inotify.max_queued_events meanwhile; 0: as it is
	IdleFiles     int
	IdleTime      time.Duration
	MemoryFiles   int
	ChurnTime     time.Duration // of memory and of soak
	SoakFiles     int
	SoakRate      int // changes a second
	SoakEvery     time.Duration
	TargetFiles   int
	StopTime      time.Duration
	StopRuns      int
	OutageFiles   int
	OutageChanges int
	OutageQuiet   time.Duration
	needDisk      int64 // bytes, at the peak
}

// filesPerDir is the shape of all trees but that of the burst: 100,000 files in 5,000 directories.
const filesPerDir = 20

func fullSizes() sizes {
	return sizes{
		LatencyTrees: []int{1_000, 100_000}, Samples: 60, Pause: 100 * time.Millisecond,
		BurstFiles: 10_000, BurstDirs: 500, BurstRuns: 3,
		DeltaSize: 1 << 30, DeltaPairs: 5, DataPairs: 5, TextSize: 256 << 20,
		MoveFiles: 2_000, MoveSize: 500 << 20,
		FirstFiles: 100_000, FirstPairs: 5, NothingPairs: 1,
		SmallFiles: 10_000, SmallPairs: 5, ManyFiles: 1_000_000, ManyPairs: 1,
		StartDirs: 200_000, StartRuns: 5,
		EventWork: works(), EventTime: 10 * time.Second, EventQueue: eventQueue,
		IdleFiles: 100_000, IdleTime: 30 * time.Second,
		MemoryFiles: 100_000, ChurnTime: time.Minute,
		SoakFiles: 100_000, SoakRate: 500, SoakEvery: time.Minute,
		TargetFiles: 5_000, StopTime: time.Minute, StopRuns: 3,
		OutageFiles: 200_000, OutageChanges: 1_000_000, OutageQuiet: 90 * time.Second,
		needDisk: 12 << 30,
	}
}

func shortSizes() sizes {
	return sizes{
		Short:        true,
		LatencyTrees: []int{1_000, 5_000}, Samples: 30, Pause: 20 * time.Millisecond,
		BurstFiles: 2_000, BurstDirs: 100, BurstRuns: 3,
		DeltaSize: 64 << 20, DeltaPairs: 2, DataPairs: 2, TextSize: 32 << 20,
		MoveFiles: 400, MoveSize: 40 << 20,
		FirstFiles: 20_000, FirstPairs: 1, NothingPairs: 2,
		SmallFiles: 2_000, SmallPairs: 3, ManyFiles: 20_000, ManyPairs: 1,
		StartDirs: 20_000, StartRuns: 2,
		EventWork: works()[:1], EventTime: 2 * time.Second, EventQueue: eventQueue,
		IdleFiles: 5_000, IdleTime: 2 * time.Second,
		MemoryFiles: 5_000, ChurnTime: 10 * time.Second,
		SoakFiles: 5_000, SoakRate: 500, SoakEvery: 2 * time.Second,
		TargetFiles: 2_000, StopTime: 3 * time.Second, StopRuns: 1,
		OutageFiles: 5_000, OutageChanges: 25_000, OutageQuiet: 2 * time.Second,
		needDisk: 1 << 30,
	}
}
