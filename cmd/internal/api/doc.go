// Package api is what a running lockstep tells of itself, and what it is told: the types behind its control
// socket, its HTTP interface, its metrics and its prompt. It does nothing.
//
//   - Agent is the whole: one process. It has Syncs, one for each source, each with its Targets.
//   - Service is what can be asked of it. The server has it done, a client passes it on.
//
// Times are RFC 3339, durations seconds as numbers, sizes bytes. Names are bytes: where one is not UTF-8, JSON
// has it in base64, in a field of its own.
package api
