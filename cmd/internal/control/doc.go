// Package control lets a running lockstep be seen and steered: HTTP with JSON, over a unix socket or, guarded, over TCP.
//
// In goes an api.Service, which does what is asked; out come handlers, listeners, and a Client that is an api.Service
// for who is in another process. Nothing that a client does, or leaves undone, holds up the service.
//
//  1. Listen makes the unix socket. Who may connect is what its mode and group say, and who connects may do everything.
//  2. Handler has the paths of the API, /metrics, /healthz, /readyz and the page. Paths, methods and parameters are
//     compared as they are written: what is not known is an error, and nothing is redirected.
//  3. /v1/events asks for the status a few times a second while somebody listens, and sends it when it changed.
//  4. Remote guards a handler for browsers and other machines: names in Host, origins, a token, certificates.
//  5. Serve bounds connections, their number and time, and ends all of them with its context.
//  6. Dial gives a Client; errors keep what they are across the wire (errors.Is on those of package api).
//
// ErrNobody: nobody listens. ErrInUse: somebody does already. What goes wrong in a handler is told to the standard
// logger, which a main hands over to its own. docs/control.md describes the API.
package control
