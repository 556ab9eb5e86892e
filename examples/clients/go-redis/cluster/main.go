package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"sort"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"example/limiter"
)

// top returns the keys that are limited most on all nodes.
func top(ctx context.Context, cluster *redis.ClusterClient, count int) ([]redis.Z, error) {
	var mutex sync.Mutex
	var keys []redis.Z
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		reply, err := node.Do(ctx, "PREMIER.TOP", count).Slice()
		if err != nil {
			return err
		}
		mutex.Lock()
		defer mutex.Unlock()
		for _, pair := range reply {
			pair := pair.([]any)
			keys = append(keys, redis.Z{Member: pair[0], Score: float64(pair[1].(int64))})
		}
		return nil
	})
	sort.Slice(keys, func(i, j int) bool { return keys[i].Score > keys[j].Score })
	return keys[:min(count, len(keys))], err
}

func main() {
	url := os.Getenv("REDIS_URL")
	if url == "" {
		url = "redis://127.0.0.1:7000"
	}
	options, err := redis.ParseClusterURL(url)
	if err != nil {
		log.Fatal(err)
	}
	options.MaxRedirects = -1 // each of them is also a retry of a call whose reply was lost
	options.MaxRetries = -1
	options.DialTimeout = 250 * time.Millisecond
	options.ReadTimeout = 250 * time.Millisecond
	cluster := redis.NewClusterClient(options)
	defer cluster.Close()
	// ReadOnly lets replicas answer read-only calls such as PEEK. They may be a moment behind.
	reading := *options
	reading.ReadOnly = true
	replicas := redis.NewClusterClient(&reading)
	defer replicas.Close()

	ctx := context.Background()
	user := os.Args[1]
	header := http.Header{}
	status, err := limiter.Check(ctx, cluster, user, 1, header)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(status, " ")
	header.Write(os.Stdout)
	fmt.Println()
	peeked, err := limiter.Premier(ctx, replicas, "PEEK", "user:"+user, "TOKEN", 5, time.Minute, "COST", 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("remaining", peeked.Remaining)
	keys, err := top(ctx, cluster, 10)
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range keys {
		fmt.Println(key.Member, key.Score)
	}
}
