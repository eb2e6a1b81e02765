-- Returns over how many streams a channel is spread, after writing it down if nobody has. Called by
-- partition_layout.py.
--
-- KEYS[1]  where that is written down: in place of the channel's own stream, or beside the stream of a partition
-- ARGV[1]  the number that the caller has
--
-- A channel that has a stream of its own has one partition. While the number is being changed, it is "from>to".

local layout = redis.pcall('GET', KEYS[1])
if type(layout) == 'table' then return string.find(layout.err, 'WRONGTYPE', 1, true) and '1' or layout end
if layout then
  if string.match(layout, '^%d+$') or string.match(layout, '^%d+>%d+$') then return layout end
  return redis.error_reply('WRONGTYPE the key holds a text that is not a number of partitions')
end
if ARGV[1] ~= '1' then redis.call('SET', KEYS[1], ARGV[1]) end
return ARGV[1]
