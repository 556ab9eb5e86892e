-- Reports what is known of a key without its limit.
--
-- KEYS[1]: the key. Returns pairs: its algorithm, the units used, and the milliseconds until it is
-- fully reset; nil if nothing is used.

local key = KEYS[1]
local name, used, reset
if call('TYPE', key).ok == 'zset' then
    local holds, foreign = open_holds(key, '')
    if not holds then
        return foreign
    end
    name, used, reset = 'HOLD', holds.held, last_end_beside(key, '', holds.now) - holds.now
else
    local usage, foreign = known(key)
    if foreign then
        return foreign
    end
    if not usage then
        return false
    end
    name, used, reset = usage.name, usage.used, usage.reset
end
if used == 0 then
    return false
end
return { 'algorithm', name, 'used', used, 'resets-in', math.ceil(reset / 1000) }
