// Package metrics tells Prometheus how a running lockstep is doing.
//
// In goes something that has a status, and each push as it ends; out comes a handler for /metrics. Families are
// lockstep_*, with units in their names, beside process_* and go_*; docs/monitoring.md lists them.
//
//  1. What a status has is taken from it when somebody scrapes: what is not in it any more (a sync that a reload
//     took out) is not in the answer either, and nobody pays for metrics that nobody reads.
//  2. What a status does not have, how long pushes take, is counted as they end (Pushed).
//
// Labels are names as a log writes them, since they have to be UTF-8.
package metrics
