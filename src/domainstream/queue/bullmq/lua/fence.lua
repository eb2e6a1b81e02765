-- Announces the epochs of channels to a queue, before their owner reads anything in them. Called by add_calls.py.
--
-- Afterwards the queue takes no jobs of these channels from owners of earlier epochs, and a mark is not past what the
-- group had read at the take: no entry that is read from then on can lie below it. Without that, an entry that gets a low
-- id after a failover, because the new primary's clock is behind, would be taken for one whose jobs are in the queue.
-- Lowering a mark loses nothing: jobs that are added again are known by their ids.
--
-- KEYS     the queue's marks; where streams and queues share a server, also the lease of each channel, as in turn.lua
-- ARGV     for each channel: field of its mark, epoch, the group's last-delivered-id at the take
-- Returns for each channel: the epoch that is higher, or '0'; the id of the mark before, or ''; the mark's epoch
-- Error: ELSEWHERE: a lease is not of the epoch here, so this is not the server where it was taken, but one that was the
-- primary before a failover: jobs that it is given are lost, while their entries are acknowledged. Nothing was done.

--[[entry_ids]]
--[[marks]]

local marks = KEYS[1]
local fenced = {}

-- A server whose memory is full allows writes after one that needs no memory.
redis.call('HDEL', marks, '')

for number = 2, #KEYS do
  local epoch = redis.call('HGET', KEYS[number], 'epoch')
  if epoch ~= ARGV[(number - 2) * 3 + 2] then return redis.error_reply('ELSEWHERE the lease is not of this epoch') end
end

for at = 1, #ARGV, 3 do
  local field, epoch, delivered = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local seen, id, holes = mark_of(marks, field)
  local before = string.format('%.0f', seen)
  if seen > epoch then
    fenced[#fenced + 1] = {before, id, before}
  else
    local lowered = id == '' and '0-0' or id
    if comes_before(delivered, lowered) then lowered = delivered end
    write_mark(marks, field, epoch, lowered)
    if next(holes) then
      for hole in pairs(holes) do
        if comes_before(lowered, hole) then holes[hole] = nil end
      end
      write_holes(marks, field, holes)
    end
    fenced[#fenced + 1] = {'0', id, before}
  end
end

return fenced
