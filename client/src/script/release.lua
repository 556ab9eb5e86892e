-- Frees what a holder holds.
--
-- KEYS[1]: the key. ARGV[1]: the id of the holder. Returns its units; 0 if it holds nothing.

local key, id = KEYS[1], ARGV[1]
local holds, foreign = open_holds(key, id)
if not holds then
    return foreign
end
if holds.own == 0 then
    return 0
end
if holds.held == holds.own then
    call('DEL', key)
    return holds.own
end
local reset = math.ceil((last_end_beside(key, id, holds.now) - holds.now) / 1000)
drop_ended(key, holds.ended)
call('ZREM', key, 'e' .. id, 'l' .. id, 'u' .. id)
call('ZADD', key, holds.own - holds.held, 's')
call('PEXPIRE', key, reset + 1)
return holds.own
