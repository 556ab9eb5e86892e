-- Reads the level of the bucket with this tag.
local now = now
local used, drained, is_dated = 0, 0, false
state = call('GET', key)
if state then
    local found, at, duration_then
    if #state == 35 then
        found, at, used, drained, duration_then = struct.unpack('<c3I7I6I7I7', state)
    end
    if found ~= tag or drained >= duration_then or duration_then > 315360000000000 then
        return { err = 'WRONGTYPE the key holds a value that is not a bucket of this kind' }
    end
    if duration_then ~= duration then
        drained = divide(drained, duration, 0, duration_then)
    end
    if at <= now then
        local units, rest = divide(now - at, quota, drained, duration)
        if units < used then
            used, drained = used - units, rest
        else
            used, drained = 0, 0
        end
    elseif continues then
        now = at
    else
        is_dated = true
    end
end

