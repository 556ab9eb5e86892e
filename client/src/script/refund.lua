-- Gives back used units.
--
-- KEYS[1]: the key. ARGV[1]: the units. Returns how many were given back: at most those used.

local key, units = KEYS[1], ARGV[1] + 0
local usage, foreign = known(key)
if not usage then
    return foreign or 0
end
if units >= usage.used then
    call('DEL', key)
    return usage.used
end
local state, reset = usage.refund(units)
if reset then
    call('SET', key, state, 'PX', math.ceil(reset / 1000) + 1)
else
    call('SET', key, state, 'KEEPTTL')
end
return units
