// Package limiter limits requests with premier.
package limiter

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Decision is the reply of a limiter.
type Decision struct {
	Limited          bool
	Limit, Remaining int64
	Wait             time.Duration // negative if the limited call never fits
	Reset            time.Duration
}

// Premier calls a limiter: Premier(ctx, rdb, "TOKEN", "user:42", 5, time.Minute, "COST", 2).
func Premier(ctx context.Context, rdb redis.UniversalClient, command, key string, args ...any) (Decision, error) {
	words := []any{"PREMIER." + command, key}
	for _, arg := range args {
		// go-redis sends a time.Duration as nanoseconds.
		if duration, ok := arg.(time.Duration); ok {
			arg = fmt.Sprintf("%dms", duration.Milliseconds())
		}
		words = append(words, arg)
	}
	reply, err := rdb.Do(ctx, words...).Slice()
	// With MaxRedirects -1 the caller follows a slot that has moved, which charges nothing.
	for tries := 0; tries < 5 && redis.HasErrorPrefix(err, "MOVED"); tries++ {
		time.Sleep(50 * time.Millisecond)
		reply, err = rdb.Do(ctx, words...).Slice()
	}
	if err != nil {
		return Decision{}, err
	}
	var field [5]int64
	for i := range field {
		field[i], _ = reply[i].(int64) // it always is
	}
	return Decision{
		Limited:   field[0] == 1,
		Limit:     field[1],
		Remaining: field[2],
		Wait:      time.Duration(field[3]) * time.Millisecond,
		Reset:     time.Duration(field[4]) * time.Millisecond,
	}, nil
}

// HTTP sets the headers of the response, and returns its status.
func (d Decision) HTTP(header http.Header) int {
	if !d.Limited {
		return http.StatusOK
	}
	if d.Wait >= 0 {
		seconds := (d.Wait + time.Second - 1) / time.Second
		header.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	return http.StatusTooManyRequests
}

var notNow = regexp.MustCompile("^(ASK|BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY|TRYAGAIN) ")

// isOutage returns whether the server cannot answer now. Other errors are mistakes, such as a wrong argument.
func isOutage(err error) bool {
	var reply redis.Error
	return !errors.As(err, &reply) || notNow.MatchString(reply.Error())
}

// Check charges a request of a user, who may make 5 a minute.
func Check(ctx context.Context, rdb redis.UniversalClient, user string, cost int64, header http.Header) (int, error) {
	decision, err := Premier(ctx, rdb, "TOKEN", "user:"+user, 5, time.Minute, "COST", cost)
	if err == nil {
		return decision.HTTP(header), nil
	}
	if !isOutage(err) {
		return http.StatusInternalServerError, err
	}
	log.Printf("not limited: %v", err)
	return http.StatusOK, nil // fails open; to fail closed, return http.StatusServiceUnavailable
}
