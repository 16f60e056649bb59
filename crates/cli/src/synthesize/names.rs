//! Names of nobody: parts put together at random. Rare characters (outside the BMP too, as GB 18030 has them) and names with
//! a middle dot are there because real files have them and software trips over them.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

const SURNAMES: [&str; 64] = [
    "陈", "李", "黄", "张", "梁", "林", "刘", "吴", "王", "罗", "杨", "邓", "何", "谢", "莫", "符", "蔡", "郑", "周",
    "许", "唐", "朱", "叶", "曾", "冯", "钟", "赵", "孙", "胡", "郭", "马", "高", "徐", "苏", "卢", "韩", "彭", "潘",
    "邱", "洪", "翁", "劳", "宋", "柯", "庞", "温", "麦", "欧", "凌", "覃", "冼", "郄", "逄", "乜", "仉", "缑", "亓",
    "昝", "郇", "欧阳", "司徒", "上官", "诸葛", "尉迟",
];

const GIVEN: [&str; 72] = [
    "伟", "芳", "娜", "敏", "静", "强", "磊", "军", "洋", "勇", "艳", "杰", "娟", "涛", "明", "超", "秀", "霞", "平",
    "刚", "桂", "英", "华", "玉", "兰", "红", "建", "国", "文", "辉", "力", "海", "燕", "志", "梅", "鹏", "飞", "云",
    "龙", "凤", "春", "雪", "冬", "宇", "浩", "然", "子", "轩", "梓", "涵", "一", "诺", "欣", "怡", "晓", "东", "康",
    "妃", "荣", "进", "仁", "义", "礼", "智", "信", "安", "和", "顺", "林", "森", "泉", "川",
];

/// Characters that older tables lack: GB 18030 alone has them all.
const RARE: [&str; 20] = [
    "喆", "堃", "犇", "骉", "龑", "翀", "赟", "煊", "㛃", "㐂", "䶮", "䲟", "𬱖", "𫖯", "𬭎", "𬀩", "𠅤", "𤧛", "𫟹",
    "𬎆",
];

const UYGHUR: [&str; 20] = [
    "阿卜杜拉",
    "买买提",
    "吐尔逊",
    "艾力",
    "古丽娜尔",
    "阿依古丽",
    "帕提古丽",
    "努尔兰",
    "库尔班",
    "热合曼",
    "依布拉音",
    "麦麦提",
    "阿不都热依木",
    "吾买尔",
    "再娜甫",
    "玛依拉",
    "木合塔尔",
    "沙吾提",
    "艾合买提",
    "迪丽拜尔",
];
const TIBETAN: [&str; 12] =
    ["扎西", "次仁", "卓玛", "央金", "旺堆", "格桑", "丹增", "德吉", "洛桑", "白玛", "尼玛", "群培"];

/// A person's name. People registered in 65 (Xinjiang) and 54 (Tibet) mostly have names of these regions.
pub(super) fn person(rng: &mut ChaCha8Rng, region: &str) -> String {
    let own_names = rng.random_ratio(3, 4);
    match region.get(..2) {
        Some("65") if own_names => format!("{}·{}", pick(rng, &UYGHUR), pick(rng, &UYGHUR)),
        Some("54") if own_names => format!("{}{}", pick(rng, &TIBETAN), pick(rng, &TIBETAN)),
        _ if rng.random_ratio(1, 400) => {
            format!("{}·{}·{}", pick(rng, &UYGHUR), pick(rng, &UYGHUR), pick(rng, &UYGHUR))
        }
        _ => han(rng),
    }
}

fn han(rng: &mut ChaCha8Rng) -> String {
    let mut name = pick(rng, &SURNAMES).to_owned();
    for _ in 0..rng.random_range(1..=2) {
        name.push_str(if rng.random_ratio(1, 60) { pick(rng, &RARE) } else { pick(rng, &GIVEN) });
    }
    name
}

const PLACES: [&str; 16] = [
    "雷州市",
    "湛江市",
    "徐闻县",
    "遂溪县",
    "廉江市",
    "吴川市",
    "茂名市",
    "广东",
    "广州市",
    "深圳市",
    "海南",
    "北海市",
    "粤西",
    "南渡河",
    "雷州半岛",
    "湛江经济技术开发区",
];
const BRANDS: [&str; 24] = [
    "鑫源",
    "恒达",
    "汇丰源",
    "顺发",
    "金泰",
    "宏远",
    "联创",
    "华盛",
    "瑞祥",
    "天成",
    "永兴",
    "嘉禾",
    "东海",
    "百川",
    "中晟",
    "万和",
    "利民",
    "长青",
    "德信",
    "兴隆",
    "昌盛",
    "九洲",
    "锦绣",
    "𬭎基",
];
const TRADES: [&str; 20] = [
    "建筑工程",
    "房地产开发",
    "水产养殖",
    "农业发展",
    "物流运输",
    "贸易",
    "商贸",
    "实业",
    "投资",
    "餐饮管理",
    "装饰工程",
    "机电设备",
    "环保科技",
    "食品加工",
    "糖业",
    "旅游开发",
    "医疗器械",
    "文化传媒",
    "网络科技",
    "劳务派遣",
];

/// An organisation's name; `form` ends it, such as `有限公司`.
pub(super) fn organisation(rng: &mut ChaCha8Rng, form: &str) -> String {
    let branch = if rng.random_ratio(1, 25) { "湛江分公司" } else { "" };
    format!("{}{}{}{form}{branch}", pick(rng, &PLACES), pick(rng, &BRANDS), pick(rng, &TRADES))
}

/// One of `choices`, which is never empty: all are constants of this module.
pub(super) fn pick<'a>(rng: &mut ChaCha8Rng, choices: &[&'a str]) -> &'a str {
    choices.choose(rng).copied().unwrap_or_default()
}
