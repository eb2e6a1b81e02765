-- Looks after the gates of one queue, also while nothing is added: lets those pass whose turn has come without BullMQ's
-- help, because the job before was removed or, with `skip`, failed. Called by gate_keeper.py, every second.
--
-- KEYS     the mailbox of the queue
-- ARGV     prefix of the queue's keys, now, 'hold' or 'skip', how much to do of each at most
-- Returns 0 unless there is more to do, and with `hold`, for each job that has failed since the last look and holds its key:
-- the key, the id, how many wait behind it.

local call = redis.call
local prefix, now, on_failure, most = unpack(ARGV)
local queue = {prefix = prefix, on_failure = on_failure}

--[[release]]
--[[gates]]

-- Each is returned once, to whichever subscriber looks first. It is only for the log: one that failed at the same time as
-- another, but arrived after the look, is left out.
local function newly_held()
  local cursor, held = prefix .. 'order:logged', {}
  local from = call('GET', cursor)
  if not from then
    call('SET', cursor, now)
    return held
  end
  local failed = call('ZRANGEBYSCORE', prefix .. 'failed', '(' .. from, '+inf', 'WITHSCORES', 'LIMIT', 0, tonumber(most))
  for at = 1, #failed, 2 do
    local id = failed[at]
    local key = call('HGET', prefix .. id, 'dskey')
    local place = key and call('LPOS', list_of(queue, key), id)
    if place and is_in_the_way(queue, key, id) then
      held[#held + 1] = {key, id, call('LLEN', list_of(queue, key)) - place - 1}
    end
  end
  if #failed > 0 then call('SET', cursor, failed[#failed]) end
  return held
end

-- For whoever looks: what holds a key depends on it, and somebody has to look after the mailbox.
call('SET', prefix .. 'order:rule', on_failure)
call('SET', prefix .. 'order:tended', now)
local may_be_more, held = false, {}
if on_failure == 'skip' then may_be_more = step_over_failed(queue, tonumber(most)) else held = newly_held() end
open_mail(queue, tonumber(most))
sweep(queue, tonumber(most), IDLE_MS)
return {may_be_more and 1 or call('LLEN', KEYS[1]), held}
