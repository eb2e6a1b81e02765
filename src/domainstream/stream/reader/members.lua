-- Which instances share the streams of a group now, by the server's clock. Called by members.py.
--
-- KEYS[1]  the instances, a sorted set by when their membership ends (ms)
-- ARGV     the instance that calls, its term in ms or '0' to leave
--
-- Returns the instances that are members now.

local call = redis.call
local members, instance, term = KEYS[1], ARGV[1], tonumber(ARGV[2])
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- First what needs no memory: a server that is full refuses a script's first write if it needs some.
call('ZREMRANGEBYSCORE', members, '-inf', now)
if term == 0 then
  call('ZREM', members, instance)
else
  call('ZADD', members, now + term, instance)
  call('PEXPIRE', members, term)
  -- The clock went back: nobody stays for longer than a term.
  for _, other in ipairs(call('ZRANGEBYSCORE', members, '(' .. now + term, '+inf')) do
    call('ZADD', members, now + term, other)
  end
end
return call('ZRANGE', members, 0, -1)
