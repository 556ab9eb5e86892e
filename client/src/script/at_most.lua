-- A call of ATMOST takes as many units as fit above its reserve, `cost` at most. If none fits, it
-- is decided as a call of one.
if mode == 'ATMOST' then
    local most = remaining - keep
    if most >= cost then
        keep = 0
    elseif most >= 1 then
        cost, keep = most, 0
    else
        cost = 1
    end
end
