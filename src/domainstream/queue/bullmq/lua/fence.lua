-- Announces the epochs of channels to a queue, before their owner reads anything in them. Called by add_calls.py.
--
-- Afterwards the queue takes no jobs of these channels from owners of earlier epochs, and a mark is not past what the
-- group had read at the take: no entry that is read from then on can lie below it. Without that, an entry that gets a low
-- id after a failover, because the new primary's clock is behind, would be taken for one whose jobs are in the queue.
-- Lowering a mark loses nothing: jobs that are added again are known by their ids. If the queue has seen an epoch that the
-- lease knows nothing of, the stream's server has lost that owner: its mark says nothing of the present stream.
--
-- KEYS     the queue's marks; where streams and queues share a server, also the lease of each channel, as in turn.lua
-- ARGV     for each channel: field of its mark, epoch, the group's last-delivered-id at the take, the epoch before, the
--          group's first pending id then, or ''
-- Returns for each channel: the epoch that is higher, or '0'; the id of the mark before, or ''; the mark's epoch
-- Error: ELSEWHERE: the epoch of a lease is lower here, so this is not the server where it was taken, but one that was the
-- primary before a failover: jobs that it is given are lost, while their entries are acknowledged. FENCED: it is higher,
-- so a later owner has taken it. After both nothing was done.

--[[entry_ids]]
--[[marks]]

local marks = KEYS[1]
local fenced = {}

-- A server whose memory is full allows writes after one that needs no memory.
redis.call('HDEL', marks, '')

for number = 2, #KEYS do
  local epoch, mine = tonumber(redis.call('HGET', KEYS[number], 'epoch') or 0), tonumber(ARGV[(number - 2) * 5 + 2])
  if epoch < mine then return redis.error_reply('ELSEWHERE the lease was not taken here') end
  if epoch > mine then return redis.error_reply(string.format('FENCED %.0f', epoch)) end
end

for at = 1, #ARGV, 5 do
  local field, epoch, delivered = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local epoch_before, first_pending = tonumber(ARGV[at + 3]), ARGV[at + 4]
  local seen, id, holes = mark_of(marks, field)
  local before = string.format('%.0f', seen)
  if seen > epoch then
    fenced[#fenced + 1] = {before, id, before}
  else
    local lowered = seen > epoch_before and '' or id
    if comes_before(delivered, lowered) then lowered = delivered end
    write_mark(marks, field, epoch, lowered)
    if next(holes) then
      for hole in pairs(holes) do
        local is_settled = first_pending == '' or comes_before(hole, first_pending)
        if is_settled or comes_before(lowered, hole) then holes[hole] = nil end
      end
      write_holes(marks, field, holes)
    end
    fenced[#fenced + 1] = {'0', id, before}
  end
end

return fenced
