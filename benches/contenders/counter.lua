-- The least that a script can do for a fixed window: a counter that expires with it, as many make
-- of INCR and EXPIRE.
--
-- KEYS[1]: the key. ARGV: quota, duration in seconds. Answers what PREMIER.FIXED does: limited,
-- limit, remaining, milliseconds to wait, milliseconds until the key is as good as new.
--
-- The key does not know when its window began, so the script needs no clock, but a new duration
-- counts from the next window on only: it is less than PREMIER.FIXED, and than the client's script
-- of it.

local quota = tonumber(ARGV[1])
local used = tonumber(redis.call('GET', KEYS[1]) or 0)
local reset = used > 0 and redis.call('PTTL', KEYS[1]) or ARGV[2] * 1000

if used >= quota then
    return { 1, quota, 0, quota > 0 and reset or -1, used > 0 and reset or 0 }
end
if used > 0 then
    redis.call('INCR', KEYS[1])
else
    redis.call('SET', KEYS[1], 1, 'PX', reset)
end
return { 0, quota, quota - used - 1, 0, reset }
