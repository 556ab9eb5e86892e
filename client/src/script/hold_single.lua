-- One key of a concurrency limit.
--
-- KEYS[1]: the key. ARGV: quota, lease, cost, keep, and the id of the holder. With an empty id, the
-- call of a new holder is only previewed. Returns what PREMIER.HOLD does.

local id = ARGV[5]
local limited, limit, remaining, wait, reset, granted, holds =
    hold(KEYS[1], ARGV[1] + 0, ARGV[2] + 0, ARGV[3] + 0, ARGV[4] + 0, id)
if type(limited) == 'table' then
    return limited
end
reset = math.ceil(reset / 1000)
if holds and id ~= '' then
    put_hold(KEYS[1], id, ARGV[2] + 0, granted, holds, reset)
end
return { limited, limit, remaining, wait > 0 and math.ceil(wait / 1000) or wait, reset }
