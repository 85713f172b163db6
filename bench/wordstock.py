"""The words of a dairy shop's chat: triggers and chat lines are put together from them.

A trigger is a place, a product and a matter in one: 50 × 50 × 50 of them. Other parts of a line never name
a place, so that a line holds the trigger it was made with and no other.
"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PLACES = _words(
    "朝阳 海淀 东城 西城 丰台 通州 昌平 大兴 顺义 房山 浦东 徐汇 静安 长宁 普陀 虹口 杨浦 闵行 宝山 "
    "嘉定 天河 越秀 海珠 荔湾 白云 黄埔 番禺 花都 南沙 增城 福田 罗湖 南山 盐田 宝安 龙岗 龙华 坪山 "
    "光明 前海 武侯 锦江 青羊 金牛 成华 双流 温江 新都 郫都 龙泉"
)
PRODUCTS = _words(
    "鲜奶 酸奶 奶酪 黄油 奶油 炼乳 奶粉 羊奶 豆浆 布丁 奶昔 奶茶 冰棒 雪糕 奶片 奶皮 乳清 豆奶 椰奶 "
    "麦片 面包 蛋糕 饼干 吐司 泡芙 蛋挞 麻薯 果酱 蜂蜜 坚果 燕麦 果干 鸡蛋 果汁 气水 咖啡 红茶 绿茶 "
    "花茶 可可 礼盒 月卡 季卡 年卡 周卡 奶票 奶卡 奶箱 冰袋 保温"
)
MATTERS = _words(
    "价格 配送 退款 换货 发票 优惠 拼团 秒杀 预售 库存 产地 保质 规格 口味 成分 热量 储存 包装 赠品 "
    "满减 积分 会员 续订 停送 改期 地址 电话 门店 时间 路线 自提 加热 解冻 破损 漏送 错送 迟到 投诉 "
    "建议 评价 合作 批发 团购 试喝 新品 下架 补货 到货 缺货 清单"
)
OPENERS = _words(
    "老板好， 请问一下， 想了解 有人知道 各位邻居， 刚刚看到 麻烦问问 今天 明天早上 周末 孩子想问 "
    "帮我看看 群主， 客服在吗， 昨天说的 听朋友讲 上次那个 不好意思， 我家的 楼下阿姨问 哈哈， 谢谢， "
    "打扰了， 急，"
)
CLOSERS = _words(
    "怎么样 怎么弄 是多少呀 还有吗 可以吗 行不行 在哪里看 什么时候好 谢谢啦 有推荐的吗 能便宜点吗 "
    "帮我记一下 我要两份 先来一箱 不着急 等你回复 辛苦了 收到请回 孩子很喜欢 比上次好 有点贵 "
    "已经下单了 明天要 [微笑]"
)
ANSWER_ENDS = _words(
    "请到小程序的订单页查看，当天下午六点前都可以修改。 "
    "今天的已经安排好了，师傅会在早上七点前送到门口。 具体以门店公告为准，有问题随时在群里叫我。 "
    "请把订单号后四位发给我，马上为您核对。 会员享九折，满五十元免配送费，欢迎下单。 "
    "已经为您登记，稍后客服会和您联系，谢谢理解。"
)
