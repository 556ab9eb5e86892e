package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"example/limiter"
)

func main() {
	url := os.Getenv("REDIS_URL")
	if url == "" {
		url = "redis://127.0.0.1:6379"
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		log.Fatal(err)
	}
	options.MaxRetries = -1 // a call whose reply was lost may have been charged; 0 would be 3 retries
	options.DialTimeout = 250 * time.Millisecond
	options.DialerRetries = 1
	options.ReadTimeout = 250 * time.Millisecond
	rdb := redis.NewClient(options)
	defer rdb.Close()

	cost := int64(1)
	if len(os.Args) > 2 { // such as: go run ./server 42 2
		if cost, err = strconv.ParseInt(os.Args[2], 10, 64); err != nil {
			log.Fatal(err)
		}
	}
	header := http.Header{}
	status, err := limiter.Check(context.Background(), rdb, os.Args[1], cost, header)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(status, " ")
	header.Write(os.Stdout)
	fmt.Println()
}
