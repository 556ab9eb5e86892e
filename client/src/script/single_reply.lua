
-- Returns what the commands of the module do: limited, limit, remaining, wait and reset in
-- milliseconds, and with ATMOST what was granted.
reset = reset + 999
reset = (reset - reset % 1000) / 1000
if wait > 0 then
    wait = wait + 999
    wait = (wait - wait % 1000) / 1000
end
if state and not words[8] then
    -- One more, as servers count from the last whole millisecond and may delete at that one.
    call('SET', key, state, 'PX', reset + 1)
end
if mode == 'ATMOST' then
    return { limited, limit, remaining, wait, reset, granted }
end
return { limited, limit, remaining, wait, reset }
