/* cc server.c -lhiredis -o server && ./server 42 */
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct decision {
    bool limited;
    long long limit, remaining;
    long long wait, reset; /* milliseconds; wait is -1 if the limited call never fits */
};

enum answer { DECIDED, OUTAGE, MISTAKE };

/* Reads the reply of a limiter, and frees it. After NULL, the connection cannot be used again. */
static enum answer decide(redisContext *redis, redisReply *reply, struct decision *decision) {
    static const char *const not_now[] = {"BUSY ", "LOADING ", "MASTERDOWN ", "MISCONF ",
                                          "NOREPLICAS ", "OOM ", "READONLY "};
    enum answer answer = MISTAKE;
    if (reply == NULL) {
        fprintf(stderr, "not limited: %s\n", redis->errstr);
        return OUTAGE;
    }
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements >= 5) {
        redisReply **field = reply->element;
        *decision = (struct decision){field[0]->integer == 1, field[1]->integer, field[2]->integer,
                                      field[3]->integer, field[4]->integer};
        answer = DECIDED;
    } else if (reply->type == REDIS_REPLY_ERROR) {
        fprintf(stderr, "%s\n", reply->str);
        for (size_t i = 0; i < sizeof not_now / sizeof *not_now; i++)
            if (strncmp(reply->str, not_now[i], strlen(not_now[i])) == 0) answer = OUTAGE;
    }
    freeReplyObject(reply);
    return answer;
}

int main(int argc, char **argv) {
    const char *url = getenv("REDIS_URL") ? getenv("REDIS_URL") : "redis://127.0.0.1:6379";
    const struct timeval timeout = {.tv_usec = 250 * 1000};
    struct decision decision;
    enum answer answer = OUTAGE;
    char host[256];
    int port;
    if (argc < 2 || sscanf(url, "redis://%255[^:]:%d", host, &port) != 2) return 2;

    redisContext *redis = redisConnectWithTimeout(host, port, timeout);
    if (redis != NULL && redis->err == 0) {
        redisSetTimeout(redis, timeout);
        /* hiredis never sends a call again, and neither should you: it may have been charged. */
        const char *cost = argc > 2 ? argv[2] : "1";
        answer = decide(redis, redisCommand(redis, "PREMIER.TOKEN user:%s 5 1m COST %s", argv[1], cost), &decision);
    } else {
        fprintf(stderr, "not limited: %s\n", redis != NULL ? redis->errstr : "no memory");
    }
    if (answer == MISTAKE) return 1;

    if (answer == OUTAGE)
        puts("200"); /* fails open; to fail closed, answer 503 */
    else if (!decision.limited)
        puts("200");
    else if (decision.wait < 0)
        puts("429");
    else
        printf("429 Retry-After: %lld\n", (decision.wait + 999) / 1000);
    redisFree(redis); /* NULL, too */
    return 0;
}
