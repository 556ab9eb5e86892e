-- The figures of `INFO premier`, for redis_exporter:
--
--     redis_exporter --script premier.lua
--
-- Prometheus then has redis_script_values{key="premier_token_admitted"} and so on, for each
-- algorithm: the calls that were admitted, limited and refused with an error, and the units that
-- were admitted, since the module was loaded. A server without the module has none of these.

-- How many of the keys that are limited most to export, 0 to 256, as
-- redis_script_values{key="premier_top <name>"}. Names of keys may be personal data, and each key
-- is a time series of its own. The exporter's user needs +premier.top for this.
local TOP_KEYS = 0

local figures = {}

local function add(name, value)
    table.insert(figures, name)
    table.insert(figures, tostring(value))
end

for algorithm, counters in redis.call('INFO', 'premier'):gmatch('premier_(%l+):([%l]+=[^\r\n]*)') do
    for counter, count in counters:gmatch('(%l+)=(%d+)') do
        add('premier_' .. algorithm .. '_' .. counter, count)
    end
end

if TOP_KEYS > 0 then
    for _, entry in ipairs(redis.call('PREMIER.TOP', TOP_KEYS)) do
        -- A label is text. Bytes that are not printable ASCII are written like \xff.
        local name = entry[1]:gsub('[^ -~]', function(byte) return ('\\x%02x'):format(byte:byte()) end)
        add('premier_top ' .. name, entry[2])
    end
end

return figures
